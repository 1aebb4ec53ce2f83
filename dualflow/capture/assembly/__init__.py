"""The Python text of a block -> instructions for the machine that replays calls.

Comes in: what `emit.py` wrote, with the names it uses. Goes out: words for `runtime/native_call`:
the same reads, tests, calls and stores in the same order. `statements` takes the text line by line,
`values` and `conditions` its expressions; `names` says what names stand for, `code` holds what is
made.
"""

from .code import Other as Other
from .statements import Assembler as Assembler

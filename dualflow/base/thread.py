"""What rooms of the import need of `threading`, which takes a millisecond to load.

`Lock`, `RLock`, `get_ident` and `local` (attributes that each thread has for itself) are
`threading`'s own.

>>> with Lock():
...     get_ident() > 0
True
"""

from __future__ import annotations

import _thread
from _thread import RLock, get_ident
from _thread import _local as local

Lock = _thread.allocate_lock

__all__ = ["Lock", "RLock", "get_ident", "local"]

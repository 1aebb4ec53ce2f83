"""The source of functions that the standard library makes of text, which no file holds.

Comes in: the code of a comparison or hash that `dataclasses` made. Goes out: the text it was made
of. `locate` takes it only where it compiles to the very same code.
"""

from __future__ import annotations

from types import CodeType

_OTHERS = ("__class__", "hash", "NotImplemented")
_COMPARISONS = {"__eq__": "==", "__lt__": "<", "__le__": "<=", "__gt__": ">", "__ge__": ">="}


def source(code: CodeType) -> str | None:
    """The text that `code` may have been made of; None if it is of no known kind."""
    if code.co_filename != "<string>":
        return None
    names = [name for name in code.co_names if name not in _OTHERS]
    own, other = (f"({''.join(f'{x}.{name},' for name in names)})" for x in ("self", "other"))
    if code.co_name == "__hash__":
        body = [" def __hash__(self):", f"  return hash({own})"]
    elif code.co_name in _COMPARISONS:
        body = [
            f" def {code.co_name}(self,other):",
            "  if other.__class__ is self.__class__:",
            f"   return {own}{_COMPARISONS[code.co_name]}{other}",
            "  return NotImplemented",
        ]
    else:
        return None
    return "\n".join(["def __create_fn__(BUILTINS):", *body, f" return {code.co_name}", ""])

"""The source of functions that the standard library makes of text, which no file holds.

Comes in: the code of a method that `dataclasses` made. Goes out: the text it was made
of. `locate` takes it only where it compiles to the very same code.
"""

from __future__ import annotations

from types import CodeType

_OTHERS = ("__class__", "__qualname__", "hash", "NotImplemented")
_COMPARISONS = {"__eq__": "==", "__lt__": "<", "__le__": "<=", "__gt__": ">", "__ge__": ">="}
#: of a dataclass that is frozen
_STORES = {"__setattr__": ("name,value", "assign to"), "__delattr__": ("name", "delete")}


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
    elif code.co_name == "__repr__":
        fields = ", ".join(f"{name}={{self.{name}!r}}" for name in names)
        body = [" def __repr__(self):", f'  return self.__class__.__qualname__ + f"({fields})"']
    elif code.co_name in _STORES:
        arguments, what = _STORES[code.co_name]
        fields = next((part for part in code.co_consts if type(part) is tuple), ())
        held = f"({','.join(map(repr, fields))},)" if fields else "()"
        body = [
            f" def {code.co_name}(self,{arguments}):",
            f"  if type(self) is cls or name in {held}:",
            f'   raise FrozenInstanceError(f"cannot {what} field {{name!r}}")',
            f"  super(cls, self).{code.co_name}({arguments.replace(',', ', ')})",
        ]
    else:
        return None
    return "\n".join(["def __create_fn__(BUILTINS):", *body, f" return {code.co_name}", ""])

"""Whether a call of something built in has arguments that it takes.

Comes in: a `Call`. Goes out: a bool. Handlers of known callables may then take their arguments
apart; a call that does not fit is made as it is, and raises what Python raises.
"""

from __future__ import annotations

import functools
import inspect
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .plans import Call

#: what Python does not tell by itself
_FORMS: dict[Any, Callable[..., None]] = {
    type: lambda x, /, *rest: None,
    getattr: lambda x, name, default=None, /: None,
    range: lambda start, stop=0, step=1, /: None,
    slice: lambda start, stop=0, step=1, /: None,
    dict: lambda x=(), /, **named: None,
    OrderedDict: lambda x=(), /, **named: None,
    defaultdict: lambda factory=None, x=(), /, **named: None,
    deque: lambda x=(), maxlen=None: None,
    set: lambda x=(), /: None,
    frozenset: lambda x=(), /: None,
    zip: lambda *xs, strict=False: None,
    map: lambda f, x, /, *xs: None,
    filter: lambda f, x, /: None,
    iter: lambda x, sentinel=None, /: None,
    next: lambda x, default=None, /: None,
    functools.reduce: lambda f, x, initial=None, /: None,
    functools.partial: lambda f, /, *xs, **named: None,
    int: lambda x=0, /, base=10: None,
    bool: lambda x=False, /: None,
    str: lambda object="", encoding="", errors="": None,
    min: lambda x, /, *xs, key=None, default=None: None,
    max: lambda x, /, *xs, key=None, default=None: None,
    dict.items: lambda self, /: None,
    dict.values: lambda self, /: None,
    dict.keys: lambda self, /: None,
    dict.update: lambda self, x=(), /, **named: None,
}


#: functions with the numbers and names of arguments that they take
_fitting: set[tuple[Any, ...]] = set()


@functools.cache
def _signature(function: Any) -> inspect.Signature | None:
    form: Any = _FORMS.get(function, function)
    try:
        return inspect.signature(form, follow_wrapped=False)
    except (TypeError, ValueError):
        return None


def fits(call: Call, function: Any) -> bool:
    """Whether `function` takes the arguments; if not, the recording is refused."""
    form = function, len(call.args), *call.kwargs
    if form in _fitting:
        return True
    try:
        signature = _signature(function)
    except Exception as error:  # of the library, where a program has replaced what is built in
        call.refuse(f"a call of {call.name}, whose signature is not known: {error}")
        return False
    if signature is None:
        return True
    try:
        signature.bind(*call.args, **call.kwargs)
    except TypeError as error:
        call.refuse(f"a call of {call.name}: {error}")
        return False
    _fitting.add(form)
    return True

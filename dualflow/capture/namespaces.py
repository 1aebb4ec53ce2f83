"""Names of modules: globals as functions read them, and attributes of modules.

Comes in: a namespace, a name and the value that Python found. Goes out: where the value came from.
"""

from __future__ import annotations

import types
from typing import Any

from .kinds import MISSING
from .provenance import Origin
from .recorder import Recorder


def read_global(recorder: Recorder, function: Any, name: str, value: Any) -> Origin:
    """The origin of a global variable of `function`."""
    namespace = function.__globals__
    key = "global", id(namespace), name
    stored = recorder.stored.get(key)
    if stored is not None:
        return stored
    if name in namespace:
        node = recorder.nodes("{k0}[{k1}]", (), (namespace, name))
        found = recorder.found(node, value)
        recorder.reads[id(namespace), name] = (namespace, None, namespace, value, found, key)
        return found
    recorder.guard("{k1} not in {k0}", constants=(namespace, name))
    own = function.__builtins__
    node = recorder.nodes("{k0}[{k1}]", (), (own, name))
    found = recorder.found(node, value)
    recorder.reads[id(namespace), name] = (namespace, None, own, value, found, key)
    return found


def of_module(
    recorder: Recorder, module: types.ModuleType, name: str, value: Any, origin: Origin = None
) -> Origin:
    """The origin of a name in a module, itself of `origin`."""
    namespace = vars(module)
    stored = recorder.stored.get(("global", id(namespace), name))
    if stored is not None:
        return stored
    if namespace.get(name, MISSING) is not value:
        recorder.refuse(f"{module.__name__}.{name}, which the module computes")
        return None
    found = recorder.found(recorder.nodes("{k0}[{k1}]", (), (namespace, name)), value)
    key = "global", id(namespace), name
    recorder.reads[id(module), name] = (module, origin, namespace, value, found, key)
    return found


def guard_absent_name(recorder: Recorder, module: types.ModuleType, name: str) -> None:
    """Guard that a module does not hold a name."""
    namespace = vars(module)
    if "__getattr__" in namespace:
        recorder.refuse(f"{module.__name__}.{name}, which the module computes")
    for absent in (name, "__getattr__"):
        recorder.guard("{k1} not in {k0}", constants=(namespace, absent))


def guard_unnamed(recorder: Recorder, error: BaseException) -> bool:
    """Guard that a variable which an instrumented copy did not find is not there; False if `error`
    tells of something else."""
    trace: Any = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    frame = None if trace is None else trace.tb_frame
    if frame is None or "_df_" not in frame.f_code.co_freevars:
        return False
    if type(error) is UnboundLocalError:  # the lines before decide
        return True
    name = getattr(error, "name", None)
    namespace, own = frame.f_globals, frame.f_builtins
    if type(error) is not NameError or error.args != (f"name {name!r} is not defined",):
        return False
    if name in namespace or name in own:
        return False
    recorder.guard("{k1} not in {k0}", constants=(namespace, name))
    recorder.guard("{k1} not in {k0}", constants=(own, name))
    return ("global", id(namespace), name) not in recorder.stored

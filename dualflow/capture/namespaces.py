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

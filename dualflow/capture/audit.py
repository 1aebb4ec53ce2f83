"""Audits: a sample of a compiled function's calls, checked against the function as it was written.

Comes in: a call that is about to be made. Goes out: nothing if all is well; else a line in the log
`dualflow`, a count, and a folder with a script that shows the difference.

A call that replays is made four times from one saved state: eagerly, compiled with
numerics="exact" (whose bits have to be eager's; once more if that had to be recorded first), and
replayed (whose floats have to be eager's within `CLOSE`); then everything is put back and the call
itself is made. Paths that print are left alone. In a co-executed call Python runs once: each
segment is computed in these three ways from copies of its inputs.
"""

from __future__ import annotations

import os
import pickle
import sys
import textwrap
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, final

import numpy as np

from dualflow import pipeline
from dualflow.array.arrays import on_host
from dualflow.array.tensor import Tensor
from dualflow.base import config
from dualflow.base.counters import count
from dualflow.base.dtypes import is_added, is_complex, is_inexact
from dualflow.base.errors import ArgumentError
from dualflow.base.telling import warn
from dualflow.base.trees import flatten
from dualflow.ir.interpret import interpret

from .coexecution.segments import Program
from .world import World

#: By the bytes of a float, 1 for bfloat16: how far replays may be from eager, relative to the
#: largest value.
CLOSE = {1: 2e-1, 2: 3e-2, 4: 1e-3, 8: 1e-9}


@final
class Audit:
    """The audits of one function.

    Args:
        share: of the calls that are checked, above 0 and up to 1.

    Raises:
        ArgumentError: another share.
    """

    def __init__(self, share: float) -> None:
        if not 0 < share <= 1:
            raise ArgumentError(f"audit={share!r}", instead="a share of calls, 0 < audit <= 1")
        self.share = share
        self._owed = 0.0
        self._exact: Any = None
        self._lock = threading.Lock()

    def before(self, compiled: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Audit the call that `compiled` is about to make, if it is its turn."""
        if not self._lock.acquire(blocking=False):
            return  # another audit is under way, or this call is a part of it
        try:
            self._owed += self.share
            if self._owed < 1:
                return
            _, reason, blocks = compiled._path(args, kwargs)
            if not blocks and compiled._stop is None:
                return  # it will be recorded: nothing to check yet
            self._owed -= 1
            if not blocks or reason is not None:
                compiled._segments.audit = lambda *given: self._segment(compiled, *given)
            elif not any(
                text.startswith(("print", "log ")) for b in blocks for text in b.written.effects
            ):
                self._replay(compiled, args, kwargs)
        finally:
            self._lock.release()

    def _replay(self, compiled: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        count("audits")
        world = World(compiled._fn, args, kwargs)
        if self._exact is None:
            self._exact = type(compiled)(compiled._fn, wait=True)
        eager = observe(world, lambda: compiled.eager(*args, **kwargs))
        exact: dict[str, Any] = {}
        with config.config(numerics="exact"):
            for _ in range(3):  # the first call may be recorded, and make a state that is, too
                exact = observe(world, lambda: self._exact(*args, **kwargs))
                if self._exact._last[0] == "replay":
                    break
        replay = observe(world, lambda: compiled(*args, **kwargs))
        found = difference(eager, exact, exactly=True) or difference(eager, replay)
        if found is not None:
            self._tell(compiled, found, (args, kwargs))

    def _segment(self, compiled: Any, program: Program, arrays: Sequence[np.ndarray]) -> None:
        count("audits")
        given = [np.array(on_host(arrays[i]), order="C") for i in program.inputs]
        eager = named(interpret(program.graph, given))
        with config.config(numerics="exact"):
            exact = named(pipeline.compile_graph(program.graph).result().run(given))
        made = named(map(on_host, program.run(arrays).values()))
        found = difference(eager, exact, exactly=True) or difference(eager, made)
        if found is not None:
            self._tell(compiled, f"a co-executed segment: {found}", None)

    def _tell(self, compiled: Any, found: str, call: Any) -> None:
        count("audit_mismatches")
        name = getattr(compiled._fn, "__qualname__", repr(compiled._fn))
        where = "" if call is None else f"; run {write_script(compiled._fn, found, call)}"
        warn("%s: compiled and eager differ: %s%s", name, found, where)


# What a call gives and changes -----------------------------------------------------------------


def observe(world: World, call: Callable[[], Any]) -> dict[str, Any]:
    """What a call from the saved state returns or raises, and makes of the tensors it reaches;
    the state is put back."""
    world.restore()
    found: dict[str, Any] = {}
    try:
        leaves, tree = flatten(call())
        found["containers"] = repr(tree)
        found |= {f"result {i}": _value(leaf) for i, leaf in enumerate(leaves)}
    except Exception as error:
        found["error"] = f"{type(error).__name__}: {error}"
    found |= world.values()
    world.restore()
    return found


def _value(leaf: Any) -> Any:
    if isinstance(leaf, (Tensor, np.ndarray)):
        return np.array(on_host(leaf.array) if isinstance(leaf, Tensor) else leaf)
    return np.asarray(leaf) if isinstance(leaf, (bool, int, float, complex)) else type(leaf)


def named(arrays: Any) -> dict[str, Any]:
    """Outputs as `difference` takes them."""
    return {f"result {i}": np.asarray(array) for i, array in enumerate(arrays)}


def difference(
    eager: dict[str, Any], compiled: dict[str, Any], exactly: bool = False
) -> str | None:
    """The first difference, as a text: in any bit but those of NaN, or beyond `CLOSE`."""
    how = 'compiled with numerics="exact"' if exactly else "compiled"
    for name in {**eager, **compiled}:
        one, other = eager.get(name), compiled.get(name)
        if not isinstance(one, np.ndarray) or not isinstance(other, np.ndarray):
            if isinstance(one, np.ndarray) or isinstance(other, np.ndarray) or one != other:
                return f"{name} is {_short(one)} eagerly, {_short(other)} {how}"
            continue
        if one.shape != other.shape or one.dtype != other.dtype:
            return f"{name} is {_short(one)} eagerly, {_short(other)} {how}"
        wrong = ~(_same_bits(one, other) if exactly else _close(one, other))
        if wrong.any():
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            return f"{name} at {list(at)} is {one[at]!r} eagerly, {other[at]!r} {how}"
    return None


def _same_bits(a: Any, b: Any) -> np.ndarray:
    if not is_inexact(a.dtype):
        return np.asarray(a == b)
    if is_complex(a.dtype):
        return _same_bits(a.real, b.real) & _same_bits(a.imag, b.imag)
    return ((a == b) & (np.signbit(a) == np.signbit(b))) | (np.isnan(a) & np.isnan(b))


def _close(a: Any, b: Any) -> np.ndarray:
    if not is_inexact(a.dtype):
        return np.asarray(a == b)
    size = 1 if is_added(a.dtype) else a.real.dtype.itemsize
    finite = np.abs(a[np.isfinite(a)])
    slack = CLOSE[size] * (float(finite.max()) if finite.size else 0.0)
    with np.errstate(invalid="ignore"):
        return (a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= slack)


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    return "nothing" if value is None else str(value)


# The script ------------------------------------------------------------------------------------

_SCRIPT = '''\
"""{found}

Run in the environment of the program: python {path}
"""

import pickle
import sys

sys.path[:0] = {folders}

import dualflow as df
{imports}

with open({arguments!r}, "rb") as file:
    args, kwargs = pickle.load(file)
found = df.compare(function, *args, audit=True, **kwargs)
print(found.audit, found.outputs, sep="\\n")
'''


def write_script(function: Any, found: str, call: Any) -> str:
    """A folder with a script that compares the call in both modes; the script's path."""
    folder = import_module("tempfile").mkdtemp(prefix="dualflow-audit-")
    path, arguments = (os.path.join(folder, n) for n in ("differs.py", "arguments.pickle"))
    try:
        written = pickle.dumps(call)
        with open(arguments, "wb") as file:
            file.write(written)
    except Exception as error:  # then whoever reads the script has to make them
        found += f"\nThe arguments cannot be pickled: {type(error).__name__}: {error}"
    script = _SCRIPT.format(
        found=found.replace("\\", "\\\\").replace('"""', "'''"), path=path,
        arguments=arguments, imports=_import_of(function),
        folders=textwrap.shorten(repr([os.getcwd(), *sys.path[:1]]), 10_000),
    )  # fmt: skip
    with open(path, "w") as file:
        file.write(script)
    return path


def _import_of(function: Any) -> str:
    """Lines that bind `function` to that name in a new process."""
    module = getattr(function, "__module__", None) or "__main__"
    name = getattr(function, "__qualname__", "")
    file = getattr(sys.modules.get(module), "__file__", None)
    if "<" in name or not name:
        return f"function = ...  # {name or function!r} of {file or module} has no name to import"
    head, _, rest = name.partition(".")
    bound = f"function = {name}" if rest else f"function = {head}"
    if module != "__main__":
        return f"from {module} import {head}\n\n{bound}"
    return (
        f"import runpy\n\n{head} = runpy.run_path({file!r}, run_name='audited')[{head!r}]\n{bound}"
    )

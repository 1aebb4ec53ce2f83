"""A task through each library: what a user of it would call, compiled where it compiles.

Comes in: a `Task`. Goes out: a function of no arguments to be timed, by the library's name.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from functools import partial
from string import ascii_lowercase
from typing import Any

import numpy as np

import dualflow as df

from .task import GRADIENT, PROGRAM, TRAINING, Task

Call = Callable[[], Any]
#: which peers take part; set by the command line
CHOSEN: set[str] = {"torch", "torch.compile", "jax", "numexpr", "numba"}
RATE = 1e-3


def installed(name: str) -> bool:
    """Whether a package takes part in this run."""
    return name in CHOSEN and importlib.util.find_spec(name) is not None


def available(task: Task) -> list[str]:
    """The names of `calls_of` that can run the task here."""
    named = ["dualflow"]
    if task.mode != PROGRAM:
        named.append("dualflow eager")
    if task.mode in ("forward", PROGRAM):
        named.append("numpy")
    if task.text and installed("numexpr"):
        named.append("numexpr")
    if task.by_hand and installed("numba"):
        named.append("numba")
    if installed("torch"):
        named.append("torch")
    if installed("torch") and "torch.compile" in CHOSEN:
        named.append("torch.compile")
    if installed("jax"):
        named.append("jax.jit")
    return [name for name in named if name not in task.without]


def call_of(name: str, task: Task, threads: int = 1) -> Call:
    """The task by one library; the first call compiles."""
    if name in ("dualflow", "dualflow eager"):
        return _in_dualflow(task, compiled=name == "dualflow")
    if name == "numpy":
        return partial(task.of("numpy"), np, *task.arrays)
    if name == "numexpr":
        return _in_numexpr(task, threads)
    if name == "numba":
        return _in_numba(task, threads)
    if name == "jax.jit":
        return _in_jax(task)
    return _in_torch(task, threads, compiled=name == "torch.compile")


def _in_dualflow(task: Task, compiled: bool) -> Call:
    library = np if task.mode == PROGRAM else df
    function = task.of("numpy" if task.mode == PROGRAM else "dualflow")
    arrays, wrt = list(task.arrays), task.derived_by()
    if task.mode != PROGRAM:
        arrays = [df.asarray(x.copy()) for x in arrays]

    def computed(*xs: Any) -> Any:
        return function(library, *xs)

    if task.mode == GRADIENT:
        run = df.value_and_grad(computed, wrt)
        call = df.compile(lambda *xs: run(*xs), wait=True) if compiled else run
    elif task.mode == TRAINING:
        arrays = [df.nn.Parameter(x) if i in wrt else x for i, x in enumerate(arrays)]
        optimizer = df.optim.Adam([arrays[i] for i in wrt], lr=RATE)

        def step(*xs: Any) -> Any:
            optimizer.zero_grad()
            loss = computed(*xs)
            loss.backward()
            optimizer.step()
            return loss.detach()

        call = df.compile(step, wait=True) if compiled else step
    else:
        call = df.compile(computed, wait=True) if compiled else computed
    return partial(call, *arrays)


def _in_numexpr(task: Task, threads: int) -> Call:
    import numexpr

    numexpr.set_num_threads(threads)
    named = dict(zip(ascii_lowercase, task.arrays, strict=False))
    return lambda: numexpr.evaluate(task.text, local_dict=named)


def _in_numba(task: Task, threads: int) -> Call:
    import numba

    from . import by_hand

    function = getattr(by_hand, task.by_hand)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiler = numba.njit(parallel=threads > 1, fastmath={"contract"}, error_model="numpy")
        fast = compiler(function)
    return partial(fast, *task.arrays)


def _in_torch(task: Task, threads: int, compiled: bool) -> Call:
    import torch

    torch.set_num_threads(threads)
    function, wrt = task.of("torch"), task.derived_by()
    arrays = [torch.from_numpy(array.copy()) for array in task.arrays]

    def run(*xs: Any) -> Any:
        return function(torch, *xs)

    if compiled:
        torch._dynamo.reset()
    forward = torch.compile(run) if compiled and task.mode != TRAINING else run
    if task.mode in (GRADIENT, TRAINING):
        for i in wrt:
            arrays[i].requires_grad_()
    if task.mode == GRADIENT:

        def gradients() -> Any:
            value = forward(*arrays)
            return value.detach(), torch.autograd.grad(value, [arrays[i] for i in wrt])

        return gradients
    if task.mode == TRAINING:
        optimizer = torch.optim.Adam([arrays[i] for i in wrt], lr=RATE)

        def step(*xs: Any) -> Any:
            optimizer.zero_grad()
            loss = run(*xs)
            loss.backward()
            optimizer.step()
            return loss.detach()

        return partial(torch.compile(step) if compiled else step, *arrays)

    def value() -> Any:
        with torch.no_grad():
            return forward(*arrays)

    return value


def _in_jax(task: Task) -> Call:
    import jax

    jax.config.update("jax_enable_x64", True)
    inputs = [jax.numpy.asarray(array) for array in task.arrays]
    function = partial(task.of("jax"), jax.numpy)
    if task.mode == TRAINING:
        return _jax_steps(jax, function, inputs, task.derived_by())
    if task.mode == GRADIENT:
        function = jax.value_and_grad(function, task.derived_by())
    fast = jax.jit(function)
    return lambda: jax.block_until_ready(fast(*inputs))


def _jax_steps(jax: Any, function: Any, inputs: list[Any], wrt: tuple[int, ...]) -> Call:
    """Steps of Adam; the state is given back to JAX, which updates it in place."""
    sqrt, tree = jax.numpy.sqrt, jax.tree.map
    derived = jax.value_and_grad(function, wrt)

    def step(weights: Any, first: Any, second: Any, count: Any, given: Any) -> Any:
        xs = list(given)
        for i, w in zip(wrt, weights, strict=True):
            xs[i] = w
        loss, gradients = derived(*xs)
        first = tree(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
        second = tree(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
        a, b = 1 - 0.9**count, 1 - 0.999**count
        weights = tree(
            lambda w, m, v: (w - RATE * (m / a) / (sqrt(v / b) + 1e-8)).astype(w.dtype),
            weights, first, second,
        )  # fmt: skip
        return loss, weights, first, second

    fast = jax.jit(step, donate_argnums=(0, 1, 2))
    start = tuple(inputs[i] + 0 for i in wrt)
    state = [start, tree(jax.numpy.zeros_like, start), tree(jax.numpy.zeros_like, start)]
    given = tuple(None if i in wrt else x for i, x in enumerate(inputs))
    count = [0.0]

    def call() -> Any:
        count[0] += 1.0
        loss, *state[:] = jax.block_until_ready(fast(*state, np.float32(count[0]), given))
        return loss

    return call


def arrays_of(result: Any) -> list[np.ndarray]:
    """The arrays in what a call gave, as NumPy's."""
    if isinstance(result, dict):
        return arrays_of(list(result.values()))
    if isinstance(result, (tuple, list)):
        return [array for part in result for array in arrays_of(part)]
    return [np.asarray(result.numpy() if isinstance(result, df.Tensor) else result)]

"""The libraries side by side: one function of an array namespace, called through each of them.

Comes in: a function `f(xp, *arrays)`. Goes out: calls by name: "dualflow" (compiled), "dualflow
eager", "numpy", and where installed "torch", "torch.compile", "jax.jit", "numexpr".
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import dualflow as df

Call = Callable[[], Any]
#: which libraries take part; set by the command line
CHOSEN: set[str] = {"torch", "jax", "numexpr"}


def installed(name: str) -> bool:
    """Whether a peer takes part in this run."""
    return name in CHOSEN and importlib.util.find_spec(name) is not None


def amax(xp: Any, x: Any) -> Any:
    """The largest of each row, kept as a column."""
    return x.amax(-1, keepdim=True) if _torch(xp) else x.max(axis=-1, keepdims=True)


def total(xp: Any, x: Any) -> Any:
    """The sum of each row, kept as a column."""
    return x.sum(-1, keepdim=True) if _torch(xp) else x.sum(axis=-1, keepdims=True)


def erfc(xp: Any, x: Any) -> Any:
    """The complementary error function, which NumPy lacks."""
    if xp is np:
        return _erfc(x)
    if xp.__name__.startswith("jax"):
        from jax.scipy.special import erfc as jax_erfc

        return jax_erfc(x)
    return xp.erfc(x)


_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _torch(xp: Any) -> bool:
    return xp.__name__ == "torch"


def elementwise(
    function: Callable[..., Any],
    arrays: Sequence[np.ndarray],
    own: Mapping[str, Callable[..., Any]] | None = None,
) -> dict[str, Call]:
    """`function(xp, *arrays)` through every library; `own` has a library's own way to say it."""
    own = own or {}
    in_dualflow = own.get("dualflow", function)
    mine = [df.asarray(array.copy()) for array in arrays]
    fast = df.compile(lambda *xs: in_dualflow(df, *xs), wait=True)
    calls: dict[str, Call] = {
        "dualflow": lambda: fast(*mine),
        "dualflow eager": lambda: in_dualflow(df, *mine),
        "numpy": lambda: function(np, *arrays),
    }
    if installed("torch"):
        calls |= _torch_calls(own.get("torch", function), arrays)
    if installed("jax"):
        calls["jax.jit"] = _jax_call(own.get("jax"), function, arrays)
    return calls


def _torch_calls(function: Callable[..., Any], arrays: Sequence[np.ndarray]) -> dict[str, Call]:
    import torch

    torch.set_num_threads(1)
    tensors = [torch.from_numpy(array.copy()) for array in arrays]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch._dynamo.reset()
        fast = torch.compile(lambda *xs: function(torch, *xs))

    def compiled() -> Any:
        with torch.no_grad():
            return fast(*tensors)

    def eager() -> Any:
        with torch.no_grad():
            return function(torch, *tensors)

    return {"torch": eager, "torch.compile": compiled}


def _jax_call(
    own: Callable[..., Any] | None, function: Callable[..., Any], arrays: Sequence[np.ndarray]
) -> Call:
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    inputs = [jnp.asarray(array) for array in arrays]
    traced = (lambda *xs: own(jax, *xs)) if own else (lambda *xs: function(jnp, *xs))
    fast = jax.jit(traced)
    return lambda: jax.block_until_ready(fast(*inputs))


def numexpr_call(text: str, arrays: dict[str, np.ndarray]) -> dict[str, Call]:
    """An expression through numexpr."""
    if not installed("numexpr"):
        return {}
    import numexpr

    numexpr.set_num_threads(1)
    return {"numexpr": lambda: numexpr.evaluate(text, local_dict=arrays)}


def training_steps(images: np.ndarray, labels: np.ndarray) -> dict[str, Call]:
    """One step of Adam on the cross-entropy of a network 64-128-128-10 with ReLU."""
    calls: dict[str, Call] = {}
    for name in ("dualflow", "dualflow eager"):
        calls[name] = _dualflow_step(images, labels, compiled=name == "dualflow")
    if installed("torch"):
        calls |= _torch_steps(images, labels)
    if installed("jax"):
        calls["jax.jit"] = _jax_step(images, labels)
    return calls


def _dualflow_step(images: np.ndarray, labels: np.ndarray, compiled: bool) -> Call:
    df.random.seed(0)
    nn = df.nn
    model = nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    )
    optimizer = df.optim.Adam(model.parameters(), lr=1e-3)

    def step(x: df.Tensor, y: df.Tensor) -> df.Tensor:
        optimizer.zero_grad()
        loss = df.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    run = df.compile(step, wait=True) if compiled else step
    x, y = df.asarray(images.copy()), df.asarray(labels.copy())
    return lambda: run(x, y)


def _torch_steps(images: np.ndarray, labels: np.ndarray) -> dict[str, Call]:
    import torch

    calls: dict[str, Call] = {}
    x, y = torch.from_numpy(images.copy()), torch.from_numpy(labels.copy())
    for name in ("torch", "torch.compile"):
        nn = torch.nn
        model = nn.Sequential(
            nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
        )
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

        def step(model: Any = model, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss.detach()

        calls[name] = torch.compile(step) if name == "torch.compile" else step
    return calls


def _jax_step(images: np.ndarray, labels: np.ndarray) -> Call:
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    sizes = [(64, 128), (128, 128), (128, 10)]
    weights = [
        jnp.asarray(part, jnp.float32)
        for fan_in, fan_out in sizes
        for part in (rng.uniform(-1, 1, (fan_in, fan_out)) / fan_in**0.5, np.zeros(fan_out))
    ]
    zeros = [jnp.zeros_like(w) for w in weights]
    x, y = jnp.asarray(images), jnp.asarray(labels)

    def loss_of(weights: Any) -> Any:
        h = x
        for i in range(0, 6, 2):
            h = h @ weights[i] + weights[i + 1]
            h = jax.nn.relu(h) if i < 4 else h
        return -jnp.mean(jax.nn.log_softmax(h)[jnp.arange(len(y)), y])

    @jax.jit
    def step(weights: Any, first: Any, second: Any, count: Any) -> Any:
        loss, grads = jax.value_and_grad(loss_of)(weights)
        first = [0.9 * m + 0.1 * g for m, g in zip(first, grads, strict=True)]
        second = [0.999 * v + 0.001 * g * g for v, g in zip(second, grads, strict=True)]
        a, b = 1 - 0.9**count, 1 - 0.999**count
        weights = [
            w - 1e-3 * (m / a) / (jnp.sqrt(v / b) + 1e-8)
            for w, m, v in zip(weights, first, second, strict=True)
        ]
        return loss, weights, first, second

    state: list[Any] = [weights, zeros, zeros, 1.0]

    def call() -> Any:
        loss, *state[:3] = jax.block_until_ready(step(*state))
        state[3] += 1.0
        return loss

    return call

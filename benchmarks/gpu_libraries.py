"""The libraries that take part on a GPU, behind one interface.

Comes in: names of peers. Goes out: `Library` objects, dualflow's first, and what the machine is;
a peer that is not installed, or sees no GPU, is left out and named.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace
from typing import Any

import numpy as np

import dualflow as df
from dualflow.runtime.gpu import tuning

#: They compile for long, and are measured when all others were, one after the other.
SLOW = ("torch.compile", "torch max-autotune")


@dataclass
class Library:
    """One library.

    Attributes:
        name: in tables.
        array: a NumPy array on the device.
        compile: a function made fast, in the library's way.
        wait: until the device has done all.
        host: an array as NumPy's.
        value_and_grad: (f, n) -> a function that gives f's value and its gradients with respect
            to the first n arguments.
        ops: the functions that workloads use.
        forget: give memory back.
        settle: call something until it is as fast as it will be.
    """

    name: str
    array: Callable[[np.ndarray], Any]
    compile: Callable[[Callable[..., Any]], Callable[..., Any]]
    wait: Callable[[], None]
    host: Callable[[Any], np.ndarray]
    value_and_grad: Callable[[Callable[..., Any], int], Callable[..., Any]]
    ops: Any
    forget: Callable[[], None] = field(default=lambda: None)
    settle: Callable[[Callable[[], Any]], None] = field(default=lambda call: None)

    def leaves(self, value: Any) -> list[Any]:
        """The arrays of a result."""
        if isinstance(value, (tuple, list)):
            return [leaf for part in value for leaf in self.leaves(part)]
        return [value]


def libraries(peers: list[str]) -> tuple[list[Library], dict[str, str]]:
    """dualflow, and those of `peers` that are there; and device and versions."""
    chosen, machine = [dualflow()], versions()
    for name in peers:
        try:
            found, version = PEERS[name]()
        except Exception as why:  # not installed, or without a GPU
            machine[name] = f"left out ({type(why).__name__})"
            continue
        chosen += found
        machine[name] = version
    return chosen, machine


def versions() -> dict[str, str]:
    """What the GPU is called, and of which versions its software is."""
    import cupy

    runtime = cupy.cuda.runtime
    found = runtime.getDeviceProperties(0)["name"]
    made = {"device": found.decode() if isinstance(found, bytes) else str(found),
            "driver": str(runtime.driverGetVersion()), "CUDA": str(runtime.runtimeGetVersion()),
            "dualflow": df.__version__, "numpy": np.__version__}  # fmt: skip
    for name in ("triton", "cuda-bindings"):
        try:
            made[name] = version(name)
        except PackageNotFoundError:
            made[name] = "not installed"
    return made


def dualflow() -> Library:
    """dualflow, compiled."""
    ops = SimpleNamespace(
        exp=df.exp, tanh=df.tanh, sqrt=df.sqrt, sum=df.sum, mean=df.mean, matmul=df.matmul,
        softmax=df.softmax, gelu=df.gelu, silu=df.silu, relu=df.relu, layer_norm=df.layer_norm,
        cross_entropy=df.cross_entropy, attention=lambda q, k, v:
        df.scaled_dot_product_attention(q, k, v, is_causal=True),
        conv=lambda x, w: df.conv2d(x, w, padding=1), take=lambda t, i: df.take(t, i, axis=0),
        scatter_add=df.scatter_add, brain=lambda x: x.astype(df.bfloat16),
        half=lambda x: x.astype(df.float16), single=lambda x: x.astype(df.float32),
        reshape=lambda x, *shape: df.reshape(x, shape), swap=lambda x: df.permute_dims(
            x, (0, 2, 1, 3)), pool=lambda x: df.mean(x, axis=(2, 3)),
    )  # fmt: skip

    def compiled(f: Callable[..., Any]) -> Callable[..., Any]:
        return df.compile(f, wait=True)

    return Library(
        "dualflow", lambda a: df.asarray(a).to("cuda"), compiled, df.synchronize,
        lambda x: x.to("cpu").numpy(),
        lambda f, n: df.value_and_grad(f, argnums=tuple(range(n))), ops,
        lambda: df.cuda.release_memory(), settle,
    )  # fmt: skip


def settle(call: Callable[[], Any]) -> None:
    """Call until no kernel is compiled or measured any more, for at most 20 seconds."""
    end = time.perf_counter() + 20
    call()
    while tuning.unsettled() and time.perf_counter() < end:
        call()
        df.synchronize()


def torch() -> tuple[list[Library], str]:
    """PyTorch: eager, compiled, compiled with max-autotune."""
    import torch
    from torch.nn import functional as F  # noqa: N812 - its own convention

    torch.zeros(1, device="cuda")
    torch._inductor.config.compile_threads = min(8, os.cpu_count() or 1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    ops = SimpleNamespace(
        exp=torch.exp, tanh=torch.tanh, sqrt=torch.sqrt, matmul=torch.matmul,
        sum=lambda x, axis=None, keepdims=False: torch.sum(x) if axis is None else
        torch.sum(x, axis, keepdim=keepdims),
        mean=lambda x, axis=None, keepdims=False: torch.mean(x) if axis is None else
        torch.mean(x, axis, keepdim=keepdims),
        softmax=lambda x: F.softmax(x, -1), gelu=F.gelu, silu=F.silu, relu=F.relu,
        layer_norm=lambda x, w, b: F.layer_norm(x, w.shape, w, b),
        cross_entropy=F.cross_entropy, attention=lambda q, k, v:
        F.scaled_dot_product_attention(q, k, v, is_causal=True),
        conv=lambda x, w: F.conv2d(x, w, padding=1), take=lambda t, i: t[i],
        scatter_add=lambda x, at, values: x.scatter_add(0, at, values),
        brain=lambda x: x.to(torch.bfloat16),
        half=lambda x: x.half(), single=lambda x: x.float(),
        reshape=lambda x, *shape: x.reshape(shape), swap=lambda x: x.transpose(1, 2),
        pool=lambda x: x.mean((2, 3)),
    )  # fmt: skip

    def value_and_grad(f: Callable[..., Any], n: int) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            leaves = [a.detach().requires_grad_() for a in args[:n]]
            value = f(*leaves, *args[n:])
            return value.detach(), torch.autograd.grad(value, leaves)

        return run

    def library(name: str, compile_: Callable[..., Any]) -> Library:
        return Library(
            name, lambda a: torch.from_numpy(a).cuda(), compile_, torch.cuda.synchronize,
            lambda x: x.detach().float().cpu().numpy(), value_and_grad, ops, forget,
        )  # fmt: skip

    def forget() -> None:
        torch._dynamo.reset()  # else a program of another row counts as a recompilation
        torch.cuda.empty_cache()

    return [
        library("torch", lambda f: f), library(SLOW[0], torch.compile),
        library(SLOW[1], lambda f: torch.compile(f, mode="max-autotune")),
    ], torch.__version__  # fmt: skip


def jax() -> tuple[list[Library], str]:
    """JAX, jitted."""
    import jax
    import jax.numpy as jnp

    if jax.default_backend() != "gpu":
        raise RuntimeError("jax sees no GPU")

    def layer_norm(x: Any, w: Any, b: Any) -> Any:
        d = x - x.mean(-1, keepdims=True)
        return d / jnp.sqrt((d * d).mean(-1, keepdims=True) + 1e-5) * w + b

    def cross_entropy(x: Any, labels: Any) -> Any:
        return -jnp.take_along_axis(jax.nn.log_softmax(x), labels[:, None], 1).mean()

    jax.config.update("jax_default_matmul_precision", "highest")  # no tf32, as for the others

    def attention(q: Any, k: Any, v: Any) -> Any:
        parts = [a.transpose(0, 2, 1, 3) for a in (q, k, v)]
        made = jax.nn.dot_product_attention(*parts, is_causal=True, implementation=best)
        return made.transpose(0, 2, 1, 3)

    best: Any = "cudnn"
    try:
        attention(*[jnp.ones((1, 2, 64, 64), jnp.float16)] * 3)
    except Exception:  # whatever it lacks: JAX's own
        best = None

    ops = SimpleNamespace(
        exp=jnp.exp, tanh=jnp.tanh, sqrt=jnp.sqrt, sum=jnp.sum, mean=jnp.mean,
        matmul=lambda a, b: jnp.matmul(a, b, precision="highest"), softmax=jax.nn.softmax,
        gelu=lambda x: jax.nn.gelu(x, approximate=False), silu=jax.nn.silu, relu=jax.nn.relu,
        layer_norm=layer_norm, cross_entropy=cross_entropy, attention=attention,
        conv=lambda x, w: jax.lax.conv(x, w, (1, 1), "SAME"), take=lambda t, i: t[i],
        scatter_add=lambda x, at, values: x.at[at].add(values),
        brain=lambda x: x.astype(jnp.bfloat16),
        half=lambda x: x.astype(jnp.float16), single=lambda x: x.astype(jnp.float32),
        reshape=lambda x, *shape: x.reshape(shape), swap=lambda x: x.transpose(0, 2, 1, 3),
        pool=lambda x: x.mean((2, 3)),
    )  # fmt: skip
    waiting: list[Any] = []

    def compiled(f: Callable[..., Any]) -> Callable[..., Any]:
        made = jax.jit(f)

        def run(*args: Any) -> Any:
            waiting[:] = [made(*args)]
            return waiting[0]

        return run

    return [
        Library("jax.jit", jnp.asarray, compiled, lambda: jax.block_until_ready(waiting),
                lambda x: np.asarray(x, np.float32),
                lambda f, n: jax.value_and_grad(f, argnums=tuple(range(n))), ops, waiting.clear)
    ], jax.__version__  # fmt: skip


def cupy() -> tuple[list[Library], str]:
    """CuPy, which takes no gradients."""
    import cupy as cp

    cp.zeros(1)

    def scatter_add(x: Any, at: Any, values: Any) -> Any:
        out = x.copy()
        cp.add.at(out, at, values)
        return out

    ops = SimpleNamespace(
        exp=cp.exp, tanh=cp.tanh, sqrt=cp.sqrt, sum=cp.sum, mean=cp.mean, matmul=cp.matmul,
        scatter_add=scatter_add, take=lambda t, i: t[i],
        half=lambda x: x.astype("float16"), single=lambda x: x.astype("float32"),
        relu=lambda x: cp.maximum(x, 0), silu=lambda x: x / (1 + cp.exp(-x)),
        reshape=lambda x, *shape: x.reshape(shape),
    )  # fmt: skip

    def none(f: Callable[..., Any], n: int) -> Callable[..., Any]:
        raise NotImplementedError("no gradients")

    return [
        Library("cupy", cp.asarray, lambda f: f, lambda: cp.cuda.Device().synchronize(),
                lambda x: cp.asnumpy(x).astype(np.float32), none, ops,
                cp.get_default_memory_pool().free_all_blocks)
    ], cp.__version__  # fmt: skip


PEERS = {"torch": torch, "jax": jax, "cupy": cupy}

"""Templates in compiled programs: what they compute, which way is taken, and what is kept of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("triton")

import gpu_stand_in
from gpu_stand_in import gpu, interpreter  # noqa: F401 - fixtures
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dualflow as df
from dualflow.ir.program import Call
from dualflow.runtime.gpu import images, program, tuning

pytestmark = pytest.mark.usefixtures("gpu")


def normal(*shape: int, dtype: str = "float32") -> df.Tensor:
    rng = np.random.default_rng(len(shape) + sum(shape))
    return df.asarray((rng.standard_normal(shape) / 2).astype(dtype))


def gradient(x: Any, w: Any, v: Any) -> Any:
    return df.grad(lambda x: (df.gelu(x @ w) * v).sum())(x)


HALF = "float16"
PROGRAMS = {
    "bias and gelu": (lambda x, w, c: df.gelu(x @ w + c),
                      [normal(70, 64), normal(64, 50), normal(50)], 1),
    "merged axes": (lambda x, w: df.relu(x @ w), [normal(70, 64), normal(64, 50)], 1),
    "transposed": (lambda x, w: df.tanh(x.T @ w.T), [normal(64, 30), normal(50, 64)], 1),
    "rows added": (lambda x, w, c: x @ w + c, [normal(33, 40), normal(40, 18), normal(33, 1)], 1),
    "batches": (lambda x, w: df.relu(x @ w) + 1.0, [normal(3, 20, 17), normal(3, 17, 40)], 1),
    "tokens": (lambda x, w, c: x + df.silu(x @ w + c),
               [normal(4, 20, 32), normal(32, 32), normal(32)], 1),
    "half": (lambda x, w, c: df.gelu(x @ w + c),
             [normal(70, 64, dtype=HALF), normal(64, 48, dtype=HALF), normal(48, dtype=HALF)], 1),
    "cast before": (lambda x, w: df.relu(x.astype(HALF) @ w.astype(HALF)),
                    [normal(40, 64), normal(64, 48)], 1),
    "computed before": (lambda x, w: df.relu(x) @ w, [normal(40, 30), normal(30, 20)], 1),
    "two products": (lambda x, w, v: df.relu(df.relu(x @ w) @ v),
                     [normal(40, 30), normal(30, 20), normal(20, 10)], 2),
    "a gradient": (gradient, [normal(30, 20), normal(20, 10), normal(30, 10)], 1),
    "returned too": (lambda x, w: (x @ w, df.exp(x @ w)), [normal(9, 8), normal(8, 7)], 1),
}  # fmt: skip


MADE: list[program.Executable] = []


@pytest.fixture(autouse=True)
def made(monkeypatch):
    """The executables that a test makes."""
    MADE.clear()
    begin = program.Executable.__init__

    def noted(self, *args: Any, **settings: Any) -> None:
        begin(self, *args, **settings)
        MADE.append(self)

    monkeypatch.setattr(program.Executable, "__init__", noted)


def tuned() -> list[tuning.Tuned]:
    return [step for executable in MADE for step in executable._tuned]


def leaves(value: Any) -> list[df.Tensor]:
    if isinstance(value, tuple):
        return [leaf for part in value for leaf in leaves(part)]
    return [value]


def close(found: Any, expected: Any, dtype: str = "float32") -> None:
    rtol = 5e-3 if dtype == HALF else 2e-5
    for one, other in zip(leaves(found), leaves(expected), strict=True):
        assert one.device == "cuda:0"
        np.testing.assert_allclose(one.tolist(), other.tolist(), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_product_with_the_maps_around_it(name: str):
    function, args, count = PROGRAMS[name]
    there = [x.to("cuda") for x in args]
    with df.config(tuning=0.0):
        f = df.compile(function, wait=True)
        for _ in range(3):
            found = f(*there)
    assert f.stats()["replays"] >= 2
    assert len(tuned()) == count
    assert all(each.way == 0 and each.settled for each in tuned())  # by rule: the template
    narrow = any(x.dtype.name == HALF for x in args) or name == "cast before"
    close(found, function(*args), HALF if narrow else "float32")


MAPS = {
    "relu": lambda x, other: df.relu(x), "tanh": lambda x, other: df.tanh(x) * 2.0,
    "row": lambda x, other: x + other[0], "column": lambda x, other: x * other[:, :1],
    "whole": lambda x, other: x * other - 1.0,
}  # fmt: skip


@settings(max_examples=8, deadline=None, derandomize=True,
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(
    st.tuples(*[st.integers(1, 40)] * 3), st.lists(st.sampled_from(sorted(MAPS)), max_size=3),
    st.lists(st.sampled_from(["relu", "tanh"]), max_size=2), st.booleans(), st.booleans(),
    st.booleans(),
)  # fmt: skip
def test_random_products(sizes, behind, before, turned, kept, twice):
    m, n, k = sizes
    a, b, other = normal(m, k), normal(n, k) if turned else normal(k, n), normal(m, n)

    def function(a: Any, b: Any, other: Any) -> Any:
        for name in before:
            a = MAPS[name](a, None)
        product = made = a @ (b.T if turned else b)
        for name in behind:
            made = MAPS[name](made, other)
        found = (made @ made.T if twice else made,)
        return (*found, product * 1.0) if kept else found

    with df.config(tuning=0.0):
        f = df.compile(function, wait=True)
        there = [x.to("cuda") for x in (a, b, other)]
        for _ in range(2):
            found = f(*there)
    for one, wanted in zip(found, function(a, b, other), strict=True):
        np.testing.assert_allclose(one.tolist(), wanted.tolist(), rtol=1e-4, atol=1e-4)


def test_a_product_that_is_added_in_place_is_measured_without_a_trace(clock):
    x, g = normal(20, 16), normal(20, 12)
    weights = [normal(16, 12).to(device) for device in ("cpu", "cuda")]

    def step(w: Any, x: Any, g: Any) -> Any:
        w -= x.T @ g * 0.1

    f = df.compile(step, wait=True)
    for _ in range(12):
        step(weights[0], x, g)
        f(weights[1], x.to("cuda"), g.to("cuda"))
    assert f.stats()["replays"] >= 10
    (one,) = tuned()
    assert one.form.replaced
    assert one.settled
    assert len(one.seconds) == len(one.variants) + 1
    np.testing.assert_allclose(weights[1].tolist(), weights[0].tolist(), rtol=1e-4, atol=1e-5)


@pytest.fixture
def clock(monkeypatch):
    """What the stand-in's clock says that launches take."""
    costs = {"gemm": 0.5, "map": 0.25}

    def cost(what: Any) -> float:
        if isinstance(what, str):
            return costs[what]
        text, chosen = what
        return costs.get(chosen.constexprs[:3], costs["map"]) if "tl.dot" in text.source else (
            costs["map"])  # fmt: skip

    monkeypatch.setattr(gpu_stand_in.Clock, "cost", staticmethod(cost))
    with df.config(tuning=1e6):  # however slow the interpreter is
        yield costs


def settled(f: Any, *args: Any) -> tuning.Tuned:
    """The only form of `f`, when it was measured."""
    for _ in range(10):
        f(*args)
    (one,) = tuned()
    assert one.settled
    return one


def activated() -> Any:
    return df.compile(lambda x, w: df.gelu(x @ w), wait=True)


def test_the_fastest_way_is_taken_and_kept_on_disk(clock):
    x, w = normal(70, 64).to("cuda"), normal(64, 50).to("cuda")
    clock.update({(64, 64, 32): 0.6, (128, 128, 32): 0.9, (64, 128, 32): 0.8, (32, 64, 64): 0.7,
                  (128, 64, 32): 0.9, (128, 256, 64): 0.9})  # fmt: skip
    first = settled(activated(), x, w)
    assert first.variants[first.way].constexprs[:3] == (64, 64, 32)
    assert first.seconds[tuning.STEPS] == pytest.approx(0.75e-3)
    assert "64 x 64 x 32, 4 warps: 600.0 us" in first.line()
    MADE.clear()
    gpu_stand_in.forget()
    clock[64, 64, 32] = 2.0  # not measured again
    f = activated()
    f(x, w)
    (again,) = tuned()
    assert (again.way, again.settled, again.seconds) == (first.way, True, {})
    assert "as measured before" in f.explain(x, w)


def test_equal_products_are_measured_once(clock):
    x, w = normal(24, 24).to("cuda"), normal(24, 24).to("cuda")

    def layers(x: Any, w: Any) -> Any:
        for _ in range(3):
            x = df.tanh(x @ w)
        return x

    f = df.compile(layers, wait=True)
    for _ in range(9):
        f(x, w)
    first, *others = tuned()
    assert first.seconds
    assert all(each.settled and each.way == first.way and not each.seconds for each in others)


def test_libraries_serve_where_they_are_faster(clock):
    x, w = normal(70, 64).to("cuda"), normal(64, 50).to("cuda")
    clock.update(dict.fromkeys([(64, 64, 32), (128, 128, 32), (64, 128, 32), (32, 64, 64),
                                (128, 64, 32), (128, 256, 64)], 5.0))  # fmt: skip
    f = activated()
    one = settled(f, x, w)
    assert one.way == tuning.STEPS
    assert "run by the library and kernels" in f.explain(x, w)
    before = df.stats()["graph_launches"]
    for _ in range(4):
        f(x, w)
    assert df.stats()["graph_launches"] > before  # a product is part of a graph


def test_measuring_stops_when_its_time_is_spent(clock):
    x, w = normal(70, 64).to("cuda"), normal(64, 50).to("cuda")
    with df.config(tuning=1e-9):
        one = settled(activated(), x, w)
    assert len(one.seconds) <= 1
    MADE.clear()
    gpu_stand_in.forget()
    with df.config(tuning=0.0):
        f = activated()
        f(x, w)
        (other,) = tuned()
    assert other.settled
    assert not other.seconds
    assert other.way == 0  # the rule's choice, always alike


def test_libraries_serve_while_templates_are_compiled(monkeypatch, clock):
    x, w = normal(70, 64).to("cuda"), normal(64, 50).to("cuda")
    begin = images.Build.poll
    monkeypatch.setattr(images.Build, "poll", lambda self: "tl.dot" not in self.given[0].source)
    f = activated()
    for _ in range(5):
        f(x, w)
    (one,) = tuned()
    assert (one.way, one.settled, set(one.seconds)) == (tuning.STEPS, False, {tuning.STEPS})
    monkeypatch.setattr(images.Build, "poll", begin)
    assert settled(f, x, w) is one


def test_a_variant_that_the_device_cannot_take_is_not_taken(monkeypatch, clock):
    x, w = normal(70, 64).to("cuda"), normal(64, 50).to("cuda")
    load = tuning.Bound._launcher

    def fail(self, aligned: Any) -> Any:
        if "tl.dot" in self._text.source:
            raise df.errors.DeviceError("a kernel that needs too much")
        return load(self, aligned)

    monkeypatch.setattr(tuning.Bound, "_launcher", fail)
    f = activated()
    one = settled(f, x, w)
    assert one.way == tuning.STEPS
    close(f(x, w), df.gelu(x.to("cpu") @ w.to("cpu")))


def test_plain_products_are_the_librarys():
    f = df.compile(lambda x, w: x @ w, wait=True)
    x, w = normal(70, 64).to("cuda"), normal(64, 50).to("cuda")
    f(x, w)
    close(f(x, w), x.to("cpu") @ w.to("cpu"))
    assert not tuned()
    (call,) = MADE[0].program.steps
    assert isinstance(call, Call)


def attended(q: Any, k: Any, v: Any, **how: Any) -> Any:
    """Attention of heads that lie between others, and its gradients."""

    def loss(q: Any, k: Any, v: Any) -> Any:
        parts = [x.reshape((2, x.shape[1], -1, 16)).permute_dims((0, 2, 1, 3)) for x in (q, k, v)]
        made = df.scaled_dot_product_attention(*parts, **how)
        return (made * made).sum(), made

    (_, made), gradients = df.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(q, k, v)
    return made, *gradients


CASES = {
    "plain": {}, "causal": {"is_causal": True}, "scaled": {"scale": 0.3},
    "grouped": {"enable_gqa": True, "is_causal": True},
    "masked": {"attn_mask": normal(12, 20)},
    "hidden": {"attn_mask": normal(2, 1, 12, 20) > 0},
    "lengths": {"key_lengths": df.asarray([20, 7])},
    "half": {"is_causal": True},
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_attention_is_one_kernel_forward_and_two_backward(name: str):
    how = CASES[name]
    heads = 1 if name == "grouped" else 2
    dtype = HALF if name == "half" else "float32"
    args = [normal(2, 12, 32, dtype=dtype), normal(2, 20, 16 * heads, dtype=dtype),
            normal(2, 20, 16 * heads, dtype=dtype) * 0.5]  # fmt: skip
    there = [x.to("cuda") for x in args]
    how_there = {key: x.to("cuda") if isinstance(x, df.Tensor) else x for key, x in how.items()}
    with df.config(tuning=0.0):
        f = df.compile(lambda *xs: attended(*xs, **how_there), wait=True)
        for _ in range(3):
            found = f(*there)
    assert f.stats()["replays"] >= 2
    made = {each.form.what for each in tuned()}
    assert {what for what in made if what.startswith("attention")} == {
        f"attention{rest} in one pass" for rest in ("", "_queries", "_keys")
    }
    close(found, attended(*args, **how), dtype)
    text = f.explain(*there)
    assert "attention in one pass: run by a template in tiles of" in text


def test_attention_without_a_template_is_written_with_products():
    q = normal(1, 2, 6, 12).to("cuda")  # a width that no template takes
    close(df.scaled_dot_product_attention(q, q, q),
          df.scaled_dot_product_attention(*[q.to("cpu")] * 3))  # fmt: skip
    wide = normal(1, 2, 6, 16).astype("float64").to("cuda")
    assert df.scaled_dot_product_attention(wide, wide, wide).dtype == df.float64


def test_attention_eagerly_and_for_batches():
    q = normal(3, 2, 6, 16)
    with df.config(tuning=0.0):
        found = df.scaled_dot_product_attention(*[q.to("cuda")] * 3, is_causal=True)
        mapped = df.vmap(lambda x: df.scaled_dot_product_attention(x, x, x))(q.to("cuda"))
    close(found, df.scaled_dot_product_attention(q, q, q, is_causal=True))
    close(mapped, df.scaled_dot_product_attention(q, q, q))

"""Products with what follows them, run for one block of rows after the other.

Each program is compiled with chains and without: the bits are the same, but for sums over blocks,
which are as close to eager's as whole sums are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dualflow as df
from dualflow import planning
from dualflow.base.records import replaced
from dualflow.capture import blocks
from dualflow.ir.backend import NUMBA
from dualflow.ir.program import Chain, Program
from dualflow.schedule import assemble, chains

Function = Callable[..., Any]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains of small programs too, in low blocks, and scores that are always computed again."""
    for name, number in (("WORTH", 0), ("LEAST", 2), ("MOST", 5), ("ENOUGH", 3), ("TILE", 1)):
        monkeypatch.setattr(chains, name, number)
    monkeypatch.setattr("dualflow.schedule.recomputing.LARGE", 0)


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[Program]:
    """What is planned during the test."""
    found: list[Program] = []

    def noted(*given: Any, **settings: Any) -> assemble.Plan:
        made = assemble.plan_with_reasons(*given, **settings)
        found.append(made.program)
        return made

    monkeypatch.setattr(planning, "plan_with_reasons", noted)
    return found


def tensor(*shape: int, seed: int = 0, dtype: str = "float32") -> df.Tensor:
    rng = np.random.default_rng(seed + sum(shape))
    return df.tensor(rng.standard_normal(shape).astype(dtype))


def ran(fn: Function, *given: Any) -> list[np.ndarray]:
    """The results of a replay."""
    blocks._compilations.clear()
    with df.config(on_compiler_error="raise"):
        fast = df.compile(lambda *xs: fn(*xs), wait=True)
        for _ in range(2):
            fast(*given)
        found = fast(*given)
    assert fast.stats()["replays"] >= 1
    return [np.asarray(x) for x in (found if isinstance(found, tuple) else (found,))]


def steps_of(program: Program) -> list[tuple[str, ...]]:
    """What each chain is made of."""
    return [tuple(type(step).__name__ for step in chain.steps)
            for chain in program.steps if isinstance(chain, Chain)]  # fmt: skip


def same_bits(fn: Function, *given: Any) -> list[np.ndarray]:
    """The results, whose bits are those without chains."""
    found = ran(fn, *given)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "NUMBA", replaced(NUMBA, chains=False))
        for one, two in zip(found, ran(fn, *given), strict=True):
            assert one.dtype == two.dtype
            assert one.tobytes() == two.tobytes()
    return found


def close(found: list[np.ndarray], wanted: Any, rtol: float = 2e-5) -> None:
    for one, two in zip(found, wanted, strict=True):
        two = np.asarray(two)
        np.testing.assert_allclose(one, two, rtol=rtol, atol=rtol * np.abs(two).max())


# Epilogues --------------------------------------------------------------------------------------


def linear(x: Any, w: Any, b: Any) -> Any:
    return df.gelu(x @ w + b)


def residual(x: Any, w: Any, b: Any) -> Any:
    return x + df.relu(x @ w + b)


def norm(x: Any, w: Any, b: Any) -> Any:
    return df.layer_norm(x @ w + b)


def network(x: Any, w: Any, b: Any) -> Any:
    return df.softmax(df.tanh(x @ w + b) @ w.mT, -1)


def stored(x: Any, w: Any, b: Any) -> Any:
    y = x @ w + b
    return y, df.exp(y), y.sum(-1)


def prologue(x: Any, w: Any, b: Any) -> Any:
    return df.relu(df.layer_norm(x) @ w + b)


def masked(x: Any, w: Any, b: Any) -> Any:
    return df.where(x > 0, x, b) @ w.mT


def integers(x: Any, w: Any, b: Any) -> Any:
    return (x * 8).astype(df.int8).astype(x.dtype) @ w * b


PROGRAMS = [linear, residual, norm, network, stored, prologue, masked, integers]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(33, 16), (64, 16), (3, 21, 16), (2, 3, 8, 16)], ids=str)
@pytest.mark.parametrize("fn", PROGRAMS, ids=lambda fn: fn.__name__)
def test_what_follows_a_product_runs_with_it(
    fn: Function, shape: tuple[int, ...], dtype: str, programs: list[Program]
):
    given = tensor(*shape, dtype=dtype), tensor(16, 16, dtype=dtype), tensor(16, dtype=dtype)
    same_bits(fn, *given)
    assert steps_of(programs[0])
    assert not steps_of(programs[-1])


@pytest.mark.parametrize("fn", [linear, norm])
def test_large_products_are_chains_by_themselves(fn: Function, programs: list[Program]):
    given = tensor(600, 96), tensor(96, 320), tensor(320)
    same_bits(fn, *given)
    assert steps_of(programs[0]) == [("Call", "Launch")]
    assert "78 rows of 600 at a time" in explained(fn, *given)


def explained(fn: Function, *given: Any) -> str:
    blocks._compilations.clear()
    fast = df.compile(lambda *xs: fn(*xs), wait=True)
    for _ in range(2):
        fast(*given)
    return str(fast.explain(*given))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("layout", ["transposed", "steps", "turned right", "reversed"])
def test_operands_lie_as_they_lie(layout: str):
    x, w, b = (np.asarray(tensor(*shape)) for shape in ((40, 24), (24, 24), (24,)))
    if layout == "transposed":
        x = np.asfortranarray(x)
    elif layout == "steps":
        x = np.repeat(x, 2, axis=1)[:, ::2]
    elif layout == "turned right":
        w = np.asfortranarray(w)
    else:
        w = w[::-1, ::-1]
    same_bits(linear, *(df.asarray(each) for each in (x, w, b)))


@pytest.mark.usefixtures("small")
def test_special_numbers_go_through():
    x = np.asarray(tensor(32, 8)).copy()
    x[3], x[4, 2], x[5, 1], x[6] = np.nan, np.inf, -np.inf, -0.0
    programs = [fn for fn in PROGRAMS if fn is not integers]
    w = np.asarray(tensor(8, 8)).copy()
    w[0, 3] = np.inf
    for fn in programs:
        with np.errstate(all="ignore"):
            same_bits(fn, *(df.asarray(each) for each in (x, w, np.zeros(8, np.float32))))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "fn",
    [
        lambda x, w: (x @ w).sum(0),
        lambda x, w: (x @ w)[::-1] * 2.0,
        lambda x, w: (x @ w)[1:] - (x @ w)[:-1],
        lambda x, w: df.roll(x @ w, 1, 0) + x,
        lambda x, w: df.take(x @ w, df.arange(20) % 3, axis=0) + 1.0,
        lambda x, w: (x @ w).mT * 3.0,
        lambda x, w: df.cumulative_sum(x @ w, axis=0) * 2.0,
        lambda x, w: (x @ w) @ (x @ w).mT,
        lambda x, w: df.exp(x @ w).reshape((-1, 4)).sum(-1),
        lambda x, w: df.tanh(x.reshape((20, 1, 12)) @ df.stack([w * i for i in range(20)])),
        lambda x, w: df.tanh(x * 2.0).reshape((20, 1, 12)) @ df.stack([w] * 20),
        lambda x, w: (x @ w).reshape((20, 12, 1)) @ (x * 3.0).reshape((20, 1, 12)) + 1.0,
    ],
)
def test_what_needs_other_rows_does_not_join(fn: Function):
    """Whatever is decided, the bits are the same."""
    same_bits(fn, tensor(20, 12), tensor(12, 12))


@pytest.mark.parametrize("fn", [linear, norm])
def test_any_number_of_threads_gives_the_same_bits(fn: Function):
    given = tensor(601, 96), tensor(96, 320), tensor(320)
    found = []
    for count in (1, 2):
        with df.config(threads=count):
            found.append(ran(fn, *given))
    assert found[0][0].tobytes() == found[1][0].tobytes()


# Attention --------------------------------------------------------------------------------------


def attend(**settings: Any) -> Function:
    return lambda q, k, v: df.scaled_dot_product_attention(q, k, v, **settings)


def split_heads(x: Any) -> Any:
    """Attention between layers, whose heads lie beside each other."""
    b, n, d = x.shape
    q, k, v = (df.permute_dims(t.reshape((b, n, 2, d // 6)), (0, 2, 1, 3))
               for t in df.split(x, 3, axis=-1))  # fmt: skip
    out = df.scaled_dot_product_attention(q, k, v, is_causal=True)
    return df.permute_dims(out, (0, 2, 1, 3)).reshape((b, n, d // 3))


MASKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "causal": {"is_causal": True},
    "booleans": {"attn_mask": df.tensor(np.tri(23, dtype=bool)[::-1].copy())},
    "numbers": {"attn_mask": tensor(2, 1, 1, 23)},
    "of each head": {"attn_mask": tensor(3, 23, 23)},
}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mask", MASKS)
def test_attention_is_one_chain(mask: str, dtype: str, programs: list[Program]):
    settings = dict(MASKS[mask])
    if "attn_mask" in settings and settings["attn_mask"].dtype != df.bool:
        settings["attn_mask"] = settings["attn_mask"].astype(dtype)
    given = [tensor(2, 3, 23, 8, seed=i, dtype=dtype) for i in range(3)]
    same_bits(attend(**settings), *given)
    assert any(made.count("Call") == 2 for made in steps_of(programs[0]))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("heads", [1, 2, 6])
def test_heads_that_share_keys(heads: int, causal: bool, programs: list[Program]):
    q, k, v = tensor(2, 6, 18, 8), tensor(2, heads, 18, 8, seed=1), tensor(2, heads, 18, 4, seed=2)
    same_bits(attend(is_causal=causal, enable_gqa=True), q, k, v)
    assert steps_of(programs[0])


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("mask", MASKS)
def test_gradients_of_attention(mask: str, programs: list[Program]):
    given = [tensor(2, 3, 23, 8, seed=i) for i in range(3)]

    def loss(*xs: Any) -> Any:
        return (attend(**MASKS[mask])(*xs) ** 2).sum()

    gradients = df.grad(loss, argnums=(0, 1, 2))
    found = ran(gradients, *given)
    close(found, gradients(*given))
    sums = [move[-1][-1] == 0 for made in chained(programs[0]) for move in made.moves
            if move[-1] is not None]  # fmt: skip
    assert sum(sums) == 2, "the gradients of keys and values are summed over blocks"


def chained(program: Program) -> list[Chain]:
    return [step for step in program.steps if isinstance(step, Chain)]


@pytest.mark.usefixtures("small")
def test_scores_are_computed_again_for_gradients_that_come_later(programs: list[Program]):
    x, w = tensor(2, 19, 24), tensor(8, 5)

    def loss(x: Any, w: Any) -> Any:
        return (df.tanh(split_heads(x) @ w) ** 2).sum()

    gradients = df.grad(loss, argnums=(0, 1))
    close(ran(gradients, x, w), gradients(x, w))
    program = programs[0]
    held = [operand.buffer.nbytes for chain in chained(program) for operand in chain.touched]
    assert held
    assert max(held) < 2 * 2 * 19 * 19 * 4, "no matrix of scores lies in memory"
    scores = [held for chain in chained(program) for held in chain.held if held == 19 * 4]
    assert len(scores) == 4, "forward scores and weights, then again and their gradient"


@pytest.mark.parametrize("gradient", [False, True], ids=["forward", "gradient"])
def test_memory_grows_with_the_tokens_and_not_with_their_square(gradient: bool):
    def loss(x: Any, w: Any) -> Any:
        return (split_heads(x) @ w).sum()

    fn = df.grad(loss, argnums=(0, 1)) if gradient else loss
    peaks = []
    for tokens in (1024, 2048, 4096):
        given = tensor(1, tokens, 48), tensor(16, 16)
        fast = df.compile(lambda *xs: fn(*xs), wait=True)
        with df.config(on_compiler_error="raise"):
            fast(*given)
            found = fast(*given)
        assert all(np.isfinite(np.asarray(each)).all() for each in
                   (found if gradient else (found,)))  # fmt: skip
        (section,) = fast.report(*given).sections
        peaks.append(section.peak + section.scratch)
    assert peaks[1] < 2.2 * peaks[0]
    assert peaks[2] < 2.2 * peaks[1]
    assert peaks[2] < 4096 * 4096 * 4 / 2, "less than half of one matrix of scores"


def test_heights_of_blocks():
    assert chains.height((8, 4096), [4096 * 4]) == 24
    assert chains.height((10,), [4]) == 10
    assert chains.height((100_000,), [4]) == chains.MOST
    assert math.prod((7, chains.height((7, 1000), [1 << 20]))) >= chains.LEAST


# Causal attention --------------------------------------------------------------------------------


def seen(programs: list[Program]) -> list[tuple[tuple[int, str], ...]]:
    return [chain.seen for program in programs for chain in chained(program) if chain.seen]


@pytest.mark.parametrize(
    ("heads", "kept", "queries", "keys", "size"),
    [(2, 2, 512, 512, 64), (4, 2, 260, 260, 64), (2, 2, 300, 700, 128), (2, 1, 700, 300, 64)],
)
def test_hidden_columns_are_left_out_with_the_same_bits(
    heads: int, kept: int, queries: int, keys: int, size: int, programs: list[Program]
):
    q = tensor(2, heads, queries, size)
    k, v = (tensor(2, kept, keys, size, seed=i) for i in (1, 2))
    same_bits(attend(is_causal=True, enable_gqa=True), q, k, v)
    assert [name for _, name in seen(programs)[0]] == ["columns", "n_j0", "summed"]


def test_a_hidden_value_that_is_no_number_reaches_the_result(programs: list[Program]):
    q, k, v = (tensor(2, 2, 400, 64, seed=i) for i in range(3))
    numbers = np.asarray(v).copy()
    numbers[0, 1, 390, 3], numbers[1, 0, 399] = np.nan, np.inf
    with np.errstate(all="ignore"):
        (found,) = same_bits(attend(is_causal=True), q, k, df.asarray(numbers))
    assert seen(programs)
    assert np.isnan(found[0, 1, :, 3]).all()
    assert np.isnan(found[1, 0, :399]).all()


@pytest.mark.parametrize(
    "fn",
    [
        lambda q, k, v: df.exp(df.where(df.tril(df.ones((300, 300))) > 0, q @ k.mT, -9.0)) @ v,
        lambda q, k, v: attend(is_causal=True, attn_mask=df.ones((300, 300)) > 0)(q, k, v) + 1.0,
        lambda q, k, v: (attend(is_causal=True)(q, k, v), (q @ k.mT).sum(-1)),
    ],
)
def test_what_looks_at_hidden_scores_sees_them(fn: Function):
    same_bits(fn, *(tensor(2, 2, 300, 64, seed=i) for i in range(3)))


def gradients(q: Any, k: Any, v: Any, g: Any) -> Any:
    out, back = df.vjp(attend(is_causal=True), q, k, v)
    return out, *back(g)


@pytest.mark.parametrize("hidden", ["nothing", "q", "k", "v", "g"])
@pytest.mark.parametrize(
    ("shape", "dtype"), [((2, 2, 400, 64), "float32"), ((3, 300, 32), "float64")]
)
def test_gradients_leave_hidden_columns_out_with_the_same_bits(
    hidden: str, shape: tuple[int, ...], dtype: str, programs: list[Program],
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    numbers = {name: np.array(tensor(*shape, seed=i, dtype=dtype)) for i, name in enumerate("qkvg")}
    if hidden in numbers:
        numbers[hidden][0, ..., shape[-2] - 9, 3] = np.nan
        numbers[hidden][1, ..., 170, :] = np.inf
    given = [df.asarray(each) for each in numbers.values()]
    with np.errstate(all="ignore"):
        found = ran(gradients, *given)
        names = [name for _, name in seen(programs)[0]]
        assert sorted(names) == sorted(
            ["columns", "summed", "columns", "summed", "added rows", "added columns"]
        )
        monkeypatch.setattr(assemble, "column_limits", lambda *_: ())
        programs.clear()
        whole = ran(gradients, *given)
        eager = gradients(*given)
    assert chained(programs[0])
    assert not seen(programs)
    for mine, other, wanted in zip(found, whole, eager, strict=True):
        assert np.array_equal(mine, other, equal_nan=True)
        assert np.array_equal(np.isnan(mine), np.isnan(np.asarray(wanted)))
    close([each for each in found if np.isfinite(each).all()],
          [each for each in eager if np.isfinite(np.asarray(each)).all()])  # fmt: skip

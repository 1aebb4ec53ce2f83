"""Donated arguments: dead after the call in every mode, their memory taken for results."""

import copy
import pickle

import numpy as np
import pytest

import dualflow as df
from dualflow.base.errors import ArgumentError, DonatedError

ONES, LEAF = df.ones(4), df.ones(4).requires_grad_()


def fresh(k: float = 0.0) -> df.Tensor:
    return df.tensor(np.arange(4, dtype=np.float32) - k)


def is_dead(tensor: df.Tensor) -> bool:
    try:
        tensor + 1
    except DonatedError:
        return True
    return False


def plain(value):
    if isinstance(value, df.Tensor):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return {k: plain(v) for k, v in value.items()} if isinstance(value, dict) else value


def moved(w, x):
    return w * 0.5 + x


def test_results_lie_where_donated_tensors_lay():
    f = df.compile(moved, donate="w", wait=True)
    w, places = fresh(), []
    with df.config(on_compiler_error="raise"):
        for _ in range(5):
            before = w
            w = f(w, ONES)
            places.append(w.array.ctypes.data)
            assert is_dead(before)
    assert f.stats()["replays"] == 4
    assert len(set(places)) == 1
    assert w.tolist() == [31 / 16, 63 / 32, 2.0, 65 / 32]
    assert repr(before) == "Tensor(donated to moved, shape=(4,), dtype=float32)"


USES = {
    "arithmetic": lambda t: t + 1,
    "shape": lambda t: t.shape,
    "numpy": lambda t: t.numpy(),
    "asarray": np.asarray,
    "index": lambda t: t[0],
    "store": lambda t: t.__setitem__(0, 1.0),
    "in place": lambda t: t.__iadd__(1.0),
    "copy": lambda t: t.copy(),
    "deepcopy": copy.deepcopy,
    "pickle": pickle.dumps,
    "item": lambda t: t.sum().item(),
    "concat": lambda t: df.concat([t, t]),
    "grad": df.grad(lambda t: t.sum()),
    "vmap": df.vmap(lambda t: t * 2),
    "again": df.compile(moved, donate=0, wait=True),
    "compiled": df.compile(lambda t: t * 2, wait=True),
    "matmul": lambda t: t @ t,
    "backward": lambda t: (t * 2).backward(),
}


@pytest.mark.parametrize("name", USES)
def test_every_use_of_a_donated_tensor_raises(name: str):
    dead = fresh()
    df.compile(moved, donate="w", wait=True)(dead, ONES)
    use = USES[name]
    for _ in range(2):
        with pytest.raises(DonatedError, match=r"shape \(4,\) and dtype float32 that was donated"):
            use(dead, ONES) if name == "again" else use(dead)


RESULTS = {
    "itself": lambda w, x: (w, w + x),
    "a view of itself": lambda w, x: (w[1:], w + x),
    "a handle of itself": lambda w, x: (w.detach(), w + x),
    "one tensor twice": lambda w, x: (lambda y: (y, y[1:], y, w - 1))(w + x),
    "written in place": lambda w, x: (w.__iadd__(x), w * 2)[1],
    "written and returned": lambda w, x: w.__iadd__(x),
    "a number": lambda w, x: (w + x, (w * x).sum().item()),
    "containers": lambda w, x: {"a": w + x, "b": [w * x, None, 3]},
    "nothing": lambda w, x: None,
    "another dtype": lambda w, x: (w + x).astype(df.float64),
    "a branch": lambda w, x: w + x if w.sum() > 0 else w - x,
    "a reversed view": lambda w, x: (w + x)[::-1],
    "a constant": lambda w, x: df.ones(4),
    "another argument": lambda w, x: x,
    "read everywhere": lambda w, x: w * df.flip(w, axis=0) + df.cumulative_sum(w),
    "a history": lambda w, x: ((LEAF * w).sum(), w + x),
}


@pytest.mark.parametrize("name", RESULTS)
def test_calls_are_what_they_are_as_written(name: str):
    function = RESULTS[name]
    f = df.compile(function, donate=0, wait=True)
    ways = []
    for call in (f, f.eager):
        seen = []
        for k in range(4):
            w, x = fresh(k), df.ones(4)
            part, handle = fresh(k), fresh(k)
            held = part[:2], handle.detach()
            seen += [plain(call(w, x)), is_dead(w), x.tolist()]
            seen += [plain(call(part, x)), plain(call(handle, x)), plain(held)]
        ways.append(seen)
    assert ways[0] == ways[1]
    assert f.stats()["replays"] >= 6, f.report().reasons


def test_memory_that_others_show_is_left_alone():
    f = df.compile(moved, donate="w", wait=True)
    for call in (f, f.eager):
        for _ in range(3):
            array = np.arange(4, dtype=np.float32)
            root = df.tensor(np.arange(8, dtype=np.float32))
            exported = fresh()
            kept = exported.numpy()
            for w in (df.asarray(array), root[2:6], exported):
                wanted = moved(w, ONES).tolist()
                assert call(w, ONES).tolist() == wanted
                assert is_dead(w)
            assert array.tolist() == kept.tolist() == [0.0, 1.0, 2.0, 3.0]
            assert root.tolist() == list(range(8))
    assert f.stats()["replays"] >= 6


def test_a_training_step_updates_its_parameters_where_they_lie():
    def step(p, m, x):
        def loss(p):
            return (df.tanh(x @ p["w"] + p["b"]) ** 2).sum()

        value, g = df.value_and_grad(loss)(p)
        m = {k: 0.9 * m[k] + g[k] for k in m}
        return value, {k: p[k] - 0.1 * m[k] for k in p}, m

    def run(fn, calls):
        rng = np.random.default_rng(0)
        p = {"w": df.tensor(rng.normal(size=(64, 64))), "b": df.tensor(rng.normal(size=64))}
        m, x = {k: v * 0.0 for k, v in p.items()}, df.tensor(rng.normal(size=(8, 64)))
        for _ in range(calls):
            value, p, m = fn(p, m, x)
        return value.item(), p, m, x

    f = df.compile(step, donate=("p", "m"), wait=True)
    plainly = df.compile(step, wait=True)
    for fn in (f, plainly):
        found, wanted = run(fn, 5), run(step, 5)
        np.testing.assert_allclose(found[0], wanted[0], 1e-6)
        np.testing.assert_allclose(found[1]["w"].numpy(), wanted[1]["w"].numpy(), 1e-5, 1e-8)
        assert fn.stats()["replays"] == 4
    held, all_held = (fn.report(*run(fn, 1)[1:]).sections[0].peak for fn in (f, plainly))
    assert held < 0.7 * all_held


def test_a_call_that_raises_keeps_its_arguments():
    def refuse(w):
        if w.sum() > 100:
            raise ValueError("too large")
        return w * 2

    f = df.compile(refuse, donate="w", wait=True)
    w = fresh()
    for k in range(3):
        with pytest.raises(ValueError, match="too large"):
            f(fresh(-1000) if k else (held := fresh(-1000)))
        w = f(w)
    assert held.tolist() == [1000.0, 1001.0, 1002.0, 1003.0]
    assert w.tolist() == [0.0, 8.0, 16.0, 24.0]


def test_one_tensor_for_two_parameters_and_a_tape_that_needs_one():
    f = df.compile(lambda w, x: w + x, donate=("w", "x"), wait=True)
    for _ in range(3):
        w = fresh()
        assert f(w, w).tolist() == [0.0, 2.0, 4.0, 6.0]
        assert is_dead(w)
    w = df.ones(4).requires_grad_() * 3
    z = w * w
    f(w, ONES.copy())
    with pytest.raises(DonatedError):
        z.sum().backward()
    g = df.compile(RESULTS["a history"], donate="w", wait=True)
    for call in (g, g, g, g.eager):
        out, _ = call(fresh(), ONES)
        with pytest.raises(DonatedError):
            out.backward()
    assert g.stats()["replays"] == 2


class Model:
    @df.compile(donate="w", wait=True)
    def step(self, w, *, rate):
        return w * rate


def test_methods_other_modes_and_pickles():
    f = df.compile(moved, donate="w", wait=True)
    assert df.vmap(lambda x: f(x * 1.0, ONES))(df.ones((2, 4))).tolist() == [[1.5] * 4] * 2
    assert df.grad(lambda x: f(x * 1.0, ONES).sum())(df.ones(4)).tolist() == [0.5] * 4
    outer = df.compile(lambda x: f(x * 3.0, ONES) + 1, wait=True)
    assert [outer(df.ones(4)).tolist() for _ in range(2)] == [[3.5] * 4] * 2
    assert outer.stats()["co_executions"] == 1
    with df.config(mode="eager"):
        w = fresh()
        f(w, ONES)
    assert is_dead(w)
    model = Model()
    for _ in range(3):
        w = fresh()
        assert model.step(w, rate=2.0).tolist() == [0.0, 2.0, 4.0, 6.0]
        assert is_dead(w)
    again = pickle.loads(pickle.dumps(Model.step))
    assert again is Model.step
    f.warmup(w := fresh(), ONES)
    assert not is_dead(w)


def test_what_cannot_be_donated():
    for donate in ("z", 5, -1, 1.0):
        with pytest.raises(ArgumentError, match=r"donate=.* of moved\(w, x\)"):
            df.compile(moved, donate=donate)
    with pytest.raises(ArgumentError, match="any number"):
        df.compile(lambda *w: w, donate="w")
    with pytest.raises(ArgumentError, match="a NumPy array donated to moved"):
        df.compile(moved, donate="w")(np.ones(4), ONES)
    with pytest.raises(ArgumentError, match="audit"):
        df.compile(moved, donate="w", audit=0.5)

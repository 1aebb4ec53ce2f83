"""Other libraries take tensors, eagerly and in compiled functions; files keep them."""

from __future__ import annotations

import copy
import io
import os
import pickle
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import dualflow as df
from dualflow.base import errors

HERE = Path(__file__).resolve().parent
A = np.arange(24.0).reshape(2, 3, 4)


def needs(library: str) -> None:
    """Skip the test without `library`, which is not imported here: it takes seconds."""
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")


def compiled_like(function, *arguments):
    """What a compiled function gives in three calls equals what it gives eagerly; its figures."""
    compiled = df.compile(function, wait=True)
    with df.config(on_compiler_error="raise"):
        wanted = function(*arguments)
        for _ in range(3):
            for one, other in zip(compiled(*arguments), wanted, strict=True):
                np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-12)
    return compiled.stats()


# SciPy and scikit-learn -----------------------------------------------------------------------


@pytest.mark.parametrize(("library", "calls"), [("scipy", 43), ("sklearn", 19)])
def test_functions_for_arrays_of_the_array_api_take_tensors(library, calls):
    needs(library)
    done = subprocess.run(
        [sys.executable, str(HERE / "neighbour_programs.py"), library],
        env={**os.environ, "SCIPY_ARRAY_API": "1", "PYTHONPATH": str(HERE.parent)},
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) == calls


COMPILED = """
import numpy as np, dualflow as df
from scipy import special
x = df.tensor(np.linspace(0.1, 2.0, 20))
compiled = df.compile(lambda x: special.softmax(x * 2.0) + 1.0, wait=True)
for _ in range(4):
    assert np.allclose(compiled(x).numpy(), special.softmax(x.numpy() * 2.0) + 1.0, rtol=1e-12)
assert compiled.stats()["co_executions"] + compiled.stats()["replays"] >= 2, compiled.stats()
"""


def test_scipy_in_a_compiled_function(tmp_path):
    needs("scipy")
    file = tmp_path / "program.py"
    file.write_text(COMPILED)
    environment = {**os.environ, "SCIPY_ARRAY_API": "1", "PYTHONPATH": str(HERE.parent)}
    environment["DUALFLOW_ON_COMPILER_ERROR"] = "raise"
    command = [sys.executable, str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]


# einops and opt_einsum ------------------------------------------------------------------------


def images(x):
    import einops

    flat = einops.rearrange(x, "b h w -> b (h w)")
    means = einops.reduce(x, "b (h one) w -> b h", "mean", one=1)
    wide = einops.repeat(means, "b h -> b h c", c=2)
    both = einops.rearrange([x, x + 1.0], "two b h w -> b (two h) w")
    product = einops.einsum(x, x, "b h w, b k w -> b h k")
    return flat * 2.0, means + 1.0, wide, both, product, einops.reduce(x, "b h w -> w", "max")


def packed(x, y):
    import einops

    whole, shapes = einops.pack([x, y], "b * w")
    first, second = einops.unpack(whole * 2.0, shapes, "b * w")
    return whole, first + 1.0, second


def test_einops_eager_and_compiled():
    pytest.importorskip("einops")
    import dualflow.interop.einops  # noqa: F401

    t = df.tensor(A)
    for found, wanted in zip(images(t), images(A), strict=True):
        assert type(found) is df.Tensor
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12)
    for found, wanted in zip(packed(t, t[:, :2]), packed(A, A[:, :2]), strict=True):
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12)
    assert compiled_like(images, t)["replays"] == 2
    assert compiled_like(packed, t, t[:, :2].copy())["replays"] == 2


def test_einops_has_gradients_and_other_shapes():
    einops = pytest.importorskip("einops")
    import dualflow.interop.einops  # noqa: F401

    t = df.tensor(A, requires_grad=True)
    einops.reduce(t, "b h w -> h", "sum")[1].backward()
    wanted = np.zeros_like(A)
    wanted[:, 1] = 1.0
    np.testing.assert_array_equal(t.grad.numpy(), wanted)
    compiled = df.compile(lambda x: einops.rearrange(x, "a b c -> c (b a)") + 1.0, wait=True)
    for shape in ((2, 3, 4), (5, 1, 2), (2, 3, 4)):
        x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        wanted = einops.rearrange(x, "a b c -> c (b a)") + 1.0
        np.testing.assert_array_equal(compiled(df.tensor(x)).numpy(), wanted)
    with pytest.raises(einops.EinopsError, match="Wrong shape"):
        compiled(df.ones((2, 2)))


def test_einops_for_the_array_api_needs_no_backend():
    array_api = pytest.importorskip("einops.array_api")
    t = df.tensor(A)
    np.testing.assert_array_equal(
        array_api.rearrange(t, "b h w -> (b h) w").numpy(), A.reshape(6, 4)
    )
    found = array_api.reduce(t, "b h w -> b", "max").numpy()
    np.testing.assert_array_equal(found, A.max((1, 2)))


def test_opt_einsum():
    contract = pytest.importorskip("opt_einsum").contract
    x, y, z = (np.random.default_rng(i).normal(size=(3, 3)) for i in range(3))
    tensors = [df.tensor(v) for v in (x, y, z)]
    for subscripts in ("ij,jk,kl->il", "ij,jk,kl->li", "ij,kj,kl->il", "ij,ij,kl->ikl"):
        found = contract(subscripts, *tensors)
        assert type(found) is df.Tensor
        np.testing.assert_allclose(found.numpy(), np.einsum(subscripts, x, y, z), rtol=1e-12)
    stats = compiled_like(lambda *t: (contract("ij,jk,kl->il", *t) * 2.0,), *tensors)
    assert stats["co_executions"] + stats["replays"] >= 2


# pandas and matplotlib ------------------------------------------------------------------------


def test_pandas_takes_tensors():
    pandas = pytest.importorskip("pandas")
    t = df.tensor(A[0])
    frame = pandas.DataFrame(t, columns=list("abcd"))
    np.testing.assert_array_equal(frame.to_numpy(), A[0])
    frame["e"] = t[:, 1]
    assert frame["e"].tolist() == [1.0, 5.0, 9.0]
    series = pandas.Series(t[0])
    assert series.dtype == np.float64
    back = df.asarray(series)
    assert (back.dtype, back.tolist()) == (df.float64, [0.0, 1.0, 2.0, 3.0])
    assert (series + t[0]).tolist() == [0.0, 2.0, 4.0, 6.0]


def test_matplotlib_takes_tensors():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    t = df.tensor(A[0])
    v = t[:, 0]
    axes = Figure().subplots(2, 3).ravel()
    (line,) = axes[0].plot(v, t[:, 1])
    np.testing.assert_array_equal(line.get_xydata(), A[0][:, :2])
    np.testing.assert_array_equal(axes[1].imshow(t).get_array(), A[0])
    counts, _, _ = axes[2].hist(v, bins=3)
    assert counts.tolist() == [1, 1, 1]
    assert len(axes[3].bar(v, v)) == 3
    np.testing.assert_array_equal(axes[4].scatter(v, v, c=v).get_array(), A[0][:, 0])
    axes[5].errorbar(v, v, yerr=v)
    axes[5].fill_between(v, v, v + 1.0)
    axes[5].axhline(v[1])


# Files, copies, pickles -----------------------------------------------------------------------


def test_safetensors_keep_tensors(tmp_path):
    numpy_files = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "model.safetensors"
    tensors = {
        "weight": df.tensor(A[0]).mT,
        "half": df.ones(2, "float16"),
        "flags": df.asarray([True, False]),
        "count": df.tensor(3),
        "none": df.zeros((0, 2), "int8"),
        "wave": df.tensor(np.array([1 + 2j], np.complex64)),
    }
    df.save(tensors, path, metadata={"made by": "a test"})
    found = df.load(path)
    assert found.keys() == tensors.keys()
    for name, tensor in found.items():
        assert (tensor.dtype, tensor.shape) == (tensors[name].dtype, tensors[name].shape)
        np.testing.assert_array_equal(tensor.numpy(), tensors[name].numpy())
    found["weight"][0, 0] = 7.0
    assert list(df.load(path, ["half"])) == ["half"]
    np.testing.assert_array_equal(numpy_files.load_file(path)["weight"], A[0].T)
    assert df.interop.files.metadata(path) == {"made by": "a test"}
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


def test_files_that_cannot_be(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "model.safetensors"
    df.save({"a": df.ones(2)}, path)
    for tensors, kind in (
        ({"a": [1.0]}, errors.ArgumentError), ({1: df.ones(2)}, errors.ArgumentError),
        ("model.safetensors", errors.ArgumentError),
        ({"a": df.zeros(2, "complex128")}, errors.DTypeError),
    ):  # fmt: skip
        with pytest.raises(kind):
            df.save(tensors, path)
    assert df.load(path)["a"].tolist() == [1.0, 1.0]  # as it was
    with pytest.raises(errors.ArgumentError, match="no tensor 'b'"):
        df.load(path, ["b"])
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(errors.FileError, match=r"model\.safetensors"):
        df.load(path)
    with pytest.raises(FileNotFoundError):
        df.load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        df.save({"a": df.ones(2)}, tmp_path / "nowhere" / "file")


def test_a_model_goes_through_a_file(tmp_path):
    pytest.importorskip("safetensors")
    first, second = (df.nn.Linear(3, 2) for _ in range(2))
    df.save(first.state_dict(), tmp_path / "layer")
    second.load_state_dict(df.load(tmp_path / "layer"))
    x = df.ones((1, 3))
    assert second(x).tolist() == first(x).tolist()


def test_copies_and_pickles_of_containers():
    values = np.linspace(0.0, 1.0, 20)
    t = df.tensor(values)
    held = {"whole": t, "again": t, "part": t[::2]}
    for made in (copy.deepcopy(held), pickle.loads(pickle.dumps(held, protocol=5))):
        assert made["whole"] is made["again"]
        assert made["whole"]._storage is not t._storage
        assert made["part"].tolist() == held["part"].tolist()
    shallow = copy.copy(t)
    shallow[0] = 9.0
    assert t[0].item() == 0.0
    buffers: list = []
    data = pickle.dumps(t, protocol=5, buffer_callback=buffers.append)
    assert len(buffers) == 1
    np.testing.assert_array_equal(pickle.loads(data, buffers=buffers).numpy(), values)


def test_numpy_reads_tensors():
    t = df.tensor(A)
    assert np.asarray(t).base is None
    assert np.shares_memory(np.asarray(t), t.numpy())
    assert np.array([t[0, 0, 1], t[0, 0, 2]]).tolist() == [1.0, 2.0]
    assert np.mean(np.asarray(t)) == A.mean()
    file = io.BytesIO()
    np.save(file, t)
    file.seek(0)
    np.testing.assert_array_equal(np.load(file), A)

"""Bad input: the same clear error eagerly and in compiled functions, at the user's line.

Wrong shapes, dtypes, devices, values, containers; results of any kind; a cache folder that is
corrupt, read-only, full, gone, or shared.
"""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dualflow as df
from dualflow.base import errors
from dualflow.runtime import builds
from dualflow.runtime import cache as disk

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = str(ROOT / "dualflow")


# Each function gets a float32 tensor of shape (2, 3); the line of the error ends in "# here".
def shapes_do_not_broadcast(x):
    y = x * 2
    return y + df.zeros((4,))  # here


def matmul_sizes(x):
    return df.tanh(x) @ x  # here


def reshape_size(x):
    return x.reshape((4,))  # here


def axis_too_large(x):
    return df.sum(x * x, axis=2)  # here


def concat_shapes(x):
    return df.concat([x, df.ones((2,))])  # here


def write_shape(x):
    x[0] = df.ones((2,))  # here


def bits_of_floats(x):
    return x & 3  # here


def floats_into_integers(x):
    count = df.arange(3)
    count += 0.5  # here
    return count


def unknown_dtype(x):
    return x.astype("complex256")  # here


def a_size_as_dtype(x):
    return x + df.zeros(2, 3)  # here


def index_of_floats(x):
    return df.take(x, x[0], axis=0)  # here


def unknown_device(x):
    return (x + 1).to("cuda:3")  # here


def index_out_of_bounds(x):
    return x[:, 3]  # here


def taken_out_of_bounds(x):
    return df.take(x, df.tensor([0, 7]), axis=1)  # here


def label_out_of_bounds(x):
    return df.cross_entropy(x, df.tensor([0, 9]))  # here


def truth_of_many(x):
    if x > 0:  # here
        return x
    return -x


def text_as_value(x):
    x[0] = "one"  # here


def list_as_operand(x):
    return df.tanh([x, None])  # here


def a_list_that_floats_multiply(x):
    return x * [1.0, 2.0, 3.0]  # here


def a_shape_of_floats(x):
    return df.zeros(x[0, 0])  # here


def a_shape_as_weight(x):
    return df.layer_norm(x, (3,))  # here


def backward_of_many(x):
    w = x.detach().requires_grad_()
    (w * 2).backward()  # here


def write_to_what_a_gradient_needs(x):
    w = x.detach().requires_grad_()
    y = w * w
    z = y * y
    y += 1
    df.sum(z).backward()  # here


def write_to_a_broadcast(x):
    df.broadcast_to(x, (2, 2, 3))[0] = 1  # here


def negative_power_of_integers(x):
    return df.arange(3) ** df.tensor([-1, 0, 1])  # here


def deep_below(x):
    return below(x, [0.0] * 5)


def below(x, rest):
    return below(x + 1, rest[1:]) if rest else x.reshape((7,))  # here


ERRORS = {
    shapes_do_not_broadcast: errors.ShapeError,
    matmul_sizes: errors.ShapeError,
    reshape_size: errors.ShapeError,
    axis_too_large: errors.ShapeError,
    concat_shapes: errors.ShapeError,
    write_shape: errors.ShapeError,
    bits_of_floats: errors.DTypeError,
    floats_into_integers: errors.DTypeError,
    unknown_dtype: errors.DTypeError,
    a_size_as_dtype: errors.DTypeError,
    index_of_floats: errors.DualflowError,
    unknown_device: errors.DeviceError,
    index_out_of_bounds: errors.IndexingError,
    taken_out_of_bounds: errors.IndexingError,
    label_out_of_bounds: errors.IndexingError,
    truth_of_many: errors.ShapeError,
    text_as_value: errors.ArgumentError,
    list_as_operand: errors.ArgumentError,
    a_list_that_floats_multiply: errors.DTypeError,
    a_shape_of_floats: errors.DTypeError,
    a_shape_as_weight: errors.ArgumentError,
    backward_of_many: errors.GradientError,
    write_to_what_a_gradient_needs: errors.InPlaceError,
    write_to_a_broadcast: errors.InPlaceError,
    negative_power_of_integers: errors.DualflowError,
    deep_below: errors.ShapeError,
}


def failure(function: Callable[..., Any], *args: Any) -> BaseException:
    """What a call raises."""
    with pytest.raises(Exception) as found:  # noqa: PT011 - compared by the caller
        function(*args)
    return found.value


def check_teaches(error: BaseException, line: str) -> None:
    """What, where, and why or what instead; the place is the line that ends in "# here"."""
    assert isinstance(error, errors.DualflowError)
    assert error.what
    assert error.why or error.instead
    assert error.where is not None
    assert error.where.file == __file__
    assert error.where.text.endswith(line), error.where


def check_traceback(error: BaseException) -> None:
    """The user's line is there, and above any frame of generated code."""
    frames = traceback.extract_tb(error.__traceback__)
    files = [frame.filename.partition(" (as ")[0] for frame in frames]  # see source.uncounted
    last = max(i for i, file in enumerate(files) if file == __file__)
    assert frames[last].line is not None
    assert frames[last].line.endswith("# here")
    generated = [i for i, file in enumerate(files) if not os.path.exists(file)]
    assert all(i > last for i in generated), files


@pytest.mark.parametrize("function", ERRORS, ids=lambda function: function.__name__)
def test_errors_are_those_of_the_eager_run(function):
    wanted = failure(function, df.ones((2, 3)))
    assert isinstance(wanted, ERRORS[function])
    check_teaches(wanted, "# here")
    compiled = df.compile(function, wait=True)
    for _ in range(3):  # recorded; co-executed; co-executed with compiled segments
        error = failure(compiled, df.ones((2, 3)))
        assert type(error) is type(wanted)
        assert str(error) == str(wanted)
        check_teaches(error, "# here")
        check_traceback(error)
    assert compiled.stats()["replays"] == 0


@pytest.mark.parametrize("name", [n for n in vars(errors) if n.endswith("Error")])
def test_every_class_is_also_a_builtin_error_or_the_base(name):
    found = getattr(errors, name)
    assert issubclass(found, errors.DualflowError)
    assert found.__doc__
    builtin = (
        TypeError, ValueError, IndexError, RuntimeError, ImportError, FloatingPointError,
    )  # fmt: skip
    assert found is errors.DualflowError or issubclass(found, builtin)


def pick(x, index):
    y = df.tanh(x) * 2.0
    return df.take(y, index, axis=0) + 1.0  # here


@pytest.mark.parametrize("again", [copy.copy, lambda e: pickle.loads(pickle.dumps(e))])
def test_errors_come_whole_from_another_process(again):
    error = failure(df.linalg.inv, df.zeros((2, 2)))
    error.add_note("a note")
    other = again(error)
    assert type(other) is type(error)
    assert str(other) == str(error)
    assert vars(other) == vars(error)
    assert (other.what, other.where) == (error.what, error.where)


def test_a_replay_that_meets_a_bad_value_gives_the_eager_error():
    compiled = df.compile(pick, wait=True)
    x, good, bad = df.ones((3, 2)), df.tensor([0, 2]), df.tensor([0, 3])
    for _ in range(3):
        compiled(x, good)
    assert compiled.stats()["replays"] == 2
    wanted = failure(pick, x, bad)
    for _ in range(2):
        error = failure(compiled, x, bad)
        assert (type(error), str(error)) == (errors.IndexingError, str(wanted))
        check_traceback(error)
    np.testing.assert_allclose(compiled(x, good).numpy(), pick(x, good).numpy(), rtol=1e-6)
    assert compiled.stats()["replays"] == 3


def store_then_pick(x, index, log):
    x += 1
    log.append("stored")
    return df.take(x, index, axis=0)


def test_what_was_done_before_the_error_is_done_once():
    compiled = df.compile(store_then_pick, wait=True)
    x, log = df.zeros((3,)), []
    for index in ([0], [1], [5], [2], [6]):
        try:
            compiled(x, df.tensor(index), log)
        except IndexError:
            log.append("error")
    assert x.tolist() == [5.0] * 3
    assert log == ["stored"] * 3 + ["error"] + ["stored"] * 2 + ["error"]


def caught(x):
    try:
        return x.reshape((5,))
    except errors.ShapeError as error:
        return x + len(error.what) * 0


def test_an_error_that_the_function_catches():
    compiled = df.compile(caught, wait=True)
    for _ in range(3):
        assert compiled(df.ones((2, 3))).tolist() == [[1.0] * 3] * 2


class Thing:
    """Anything."""

    def __init__(self, value: Any) -> None:
        self.value = value


RESULTS = {
    "set": lambda x: {float((x * 2).sum())},
    "generator": lambda x: (row * 2 for row in x),
    "object": lambda x: Thing(x * 2),
    "type": lambda x: Thing,
    "function": lambda x: lambda: x * 2,
    "ndarray": lambda x: (x * 2).numpy(),
    "iterator": lambda x: iter([x * 2]),
    "file": lambda x: open(__file__),  # noqa: SIM115 - `shown` closes it
}


def shown(result: Any) -> Any:
    """A result, as far as it can be compared."""
    if isinstance(result, Thing):
        return shown(result.value)
    if isinstance(result, df.Tensor):
        return result.tolist()
    if isinstance(result, np.ndarray):
        return result.dtype, result.tolist()
    if hasattr(result, "__next__") and not hasattr(result, "read"):
        return [shown(part) for part in result]
    if hasattr(result, "read"):
        with result:
            return result.name
    return shown(result()) if callable(result) and not isinstance(result, type) else result


@pytest.mark.parametrize("kind", RESULTS)
def test_any_result_is_given_back_and_is_new_each_time(kind):
    function = RESULTS[kind]
    compiled = df.compile(function, wait=True)
    for value in (1.0, 1.0, 2.0, 3.0):
        x = df.full((2, 2), value)
        found, wanted = compiled(x), function(x)
        assert type(found) is type(wanted)
        assert shown(found) == shown(wanted)


@pytest.mark.parametrize("given", [{1, 2}, "text", Thing(3), object(), np.float32(2), 1 + 2j, b""])
def test_any_argument_is_taken(given):
    def function(x: df.Tensor, other: Any) -> tuple[df.Tensor, Any]:
        return x * 2, other

    compiled = df.compile(function, wait=True)
    for _ in range(3):
        found, same = compiled(df.ones((2,)), given)
        assert found.tolist() == [2.0, 2.0]
        assert same is given


def test_compile_of_what_cannot_be_called():
    error = failure(df.compile, 3)
    assert isinstance(error, TypeError)
    assert "int" in str(error)
    wrong = df.compile(lambda x: x * 2, wait=True)
    for call in (lambda: wrong(), lambda: wrong.__wrapped__(), lambda: wrong()):
        assert isinstance(failure(call), TypeError)
        assert "argument" in str(failure(call))


@pytest.mark.parametrize("setting", [{"no_such": 1}, {"numerics": "sloppy"}])
def test_bad_settings(setting):
    error = failure(lambda: df.set_config(**setting))
    assert isinstance(error, errors.ConfigError)
    assert error.instead


# The cache folder ---------------------------------------------------------------------------


def chain(x: df.Tensor, y: df.Tensor) -> df.Tensor:
    return df.sqrt(x * x + y) * 0.75 - y


COUNTED = ("kernels_compiled", "kernels_loaded", "cache_rebuilds", "cache_errors")


def fresh() -> dict[str, int]:
    """Compile and replay `chain` as a new process would; by how much counters rose."""
    builds.forget()
    before = df.stats()
    compiled = df.compile(chain, wait=True)
    x, y = df.ones((4, 3)), df.full((4, 3), 3.0)
    for _ in range(2):
        assert compiled(x, y).tolist() == [[-1.5] * 3] * 4
    assert compiled.stats()["replays"] == 1
    after = df.stats()
    assert after["kernel_launches"] == before["kernel_launches"] + 1
    return {name: after[name] - before[name] for name in COUNTED if after[name] != before[name]}


@pytest.fixture
def cache(tmp_path):
    """An empty cache folder in force."""
    fresh()  # the dispatcher is loaded: only the kernel goes to the folder
    folder = tmp_path / "cache"
    with df.config(cache=folder):
        yield folder
    builds.forget()


def entries(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.o"))


def test_a_kernel_is_found_again(cache):
    assert fresh() == {"kernels_compiled": 1}
    assert fresh() == {"kernels_loaded": 1}


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"\0" * 5000])
def test_a_corrupt_cache_is_rebuilt_and_counted(cache, damage):
    fresh()
    for path in entries(cache):
        path.write_bytes(damage)
    assert fresh() == {"kernels_compiled": 1, "cache_rebuilds": 1}
    assert fresh() == {"kernels_loaded": 1}


def test_a_cut_entry_is_rebuilt_and_counted(cache):
    fresh()
    (path,) = entries(cache)
    os.truncate(path, path.stat().st_size // 2)
    assert fresh() == {"kernels_compiled": 1, "cache_rebuilds": 1}


@pytest.mark.parametrize("place", ["/proc/dualflow", "/dev/null/cache"])
def test_a_folder_that_takes_no_files_is_counted(place):
    fresh()
    with df.config(cache=Path(place)):
        found = fresh()
    assert found["kernels_compiled"] == 1
    assert found["cache_errors"] >= 1


def test_a_full_disk_is_counted_and_leaves_nothing_behind(cache, monkeypatch):
    def full(path: str, data: bytes) -> None:
        Path(path).write_bytes(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk, "_write", full)
    assert fresh() == {"kernels_compiled": 1, "cache_errors": 1}
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_an_entry_that_is_a_folder_is_counted(cache):
    fresh()
    (path,) = entries(cache)
    path.unlink()
    path.mkdir()
    found = fresh()
    assert found["kernels_compiled"] == 1
    assert found["cache_errors"] >= 1


def test_a_folder_removed_meanwhile_is_made_again(cache):
    fresh()
    for path in entries(cache):
        path.unlink()
    (cache / "kernels").rmdir()
    cache.rmdir()
    assert fresh() == {"kernels_compiled": 1}
    assert len(entries(cache)) == 1


SCRIPT = """
import dualflow as df
df.set_config(on_compiler_error="raise")
def one(x):
    return df.tanh(x) * 0.5 + df.sum(x * x, axis=0)
def two(x):
    return df.softmax(x * 3.0, axis=-1)
x = df.arange(12).reshape((3, 4)).astype(df.float32)
for function in (one, two):
    fast = df.compile(function, wait=True)
    for _ in range(2):
        found = fast(x)
    assert fast.stats()["replays"] == 1
    assert df.allclose(found, function(x))
counted = df.stats()
print(counted["kernels_compiled"], counted["kernels_loaded"], counted["cache_errors"],
      counted["cache_rebuilds"], counted["compiler_errors"])
"""


def test_two_processes_write_one_cache(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    environment = {**os.environ, "DUALFLOW_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}

    def start() -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        command = [sys.executable, "-W", "error", str(script)]
        return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)

    def counted(process: subprocess.Popen[str]) -> list[int]:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        return [int(word) for word in out.split()]

    found = [counted(process) for process in [start(), start()]]
    made = found[0][0] + found[0][1]
    assert made >= 2
    for counts in found:
        assert counts[0] + counts[1] == made
        assert counts[2:] == [0, 0, 0]
    assert counted(start()) == [0, made, 0, 0, 0]
    assert [p for p in (tmp_path / "cache").rglob(".*") if p.is_file()] == []  # half-written

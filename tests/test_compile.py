"""df.compile: how it is applied, which way calls run, what is told about them."""

import copy
import functools
import math
import operator
import pickle
import string
import sys
import threading
import time
import traceback
from typing import Any

import numpy as np
import pytest

import dualflow as df
from dualflow.base.errors import CompileError
from dualflow.capture import CompiledFunction, blocks, recorder


def vector(*values):
    return df.tensor([float(value) for value in values])


def double(x):
    """Twice."""
    return x * 2


COMPILED = df.compile(double, wait=True)


@df.compile(wait=True)
def triple(x):
    return x * 3


def ways(f):
    stats = f.stats()
    return stats["recordings"], stats["replays"], stats["co_executions"], stats["eager_calls"]


# How it is applied ------------------------------------------------------------------------------


def test_decorator_with_and_without_arguments():
    @df.compile
    def a(x):
        """Doc."""
        return x + 1

    @df.compile(wait=True)
    def b(x):
        return x + 2

    assert a(vector(1)).tolist() == [2.0]
    assert [b(vector(1)).tolist(), b(vector(5)).tolist()] == [[3.0], [7.0]]
    assert ways(b) == (1, 1, 0, 0)
    assert (a.__name__, a.__doc__) == ("a", "Doc.")
    assert b.__wrapped__(vector(1)).tolist() == [3.0]


def test_method():
    class Model:
        def __init__(self, k):
            self.k = k

        @df.compile(wait=True)
        def scale(self, x):
            return x * self.k

    one, two = Model(2.0), Model(3.0)
    assert [m.scale(vector(1)).tolist() for m in (one, two, one)] == [[2.0], [3.0], [2.0]]
    assert ways(Model.scale) == (1, 2, 0, 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: lambda x: x * 2,
        lambda: functools.partial(lambda k, x: x * k, 2),
        lambda: functools.partial(double),
        lambda: type("Doubler", (), {"__call__": lambda self, x: x * 2})(),
    ],
    ids=["lambda", "partial", "partial of function", "callable object"],
)
def test_callables(make):
    f = df.compile(make(), wait=True)
    assert [f(vector(k)).tolist() for k in (1, 2, 3)] == [[2.0], [4.0], [6.0]]
    assert ways(f) == (1, 2, 0, 0)


def test_not_callable():
    with pytest.raises(TypeError, match="not callable"):
        df.compile(3)


def test_copies_and_pickles():
    assert COMPILED(vector(1)).tolist() == [2.0]
    for f in (copy.copy(triple), copy.deepcopy(triple), pickle.loads(pickle.dumps(triple))):
        assert f is triple  # as with a function
    part = df.compile(functools.partial(operator.mul, vector(2)), wait=True)
    other = copy.deepcopy(part)
    assert type(other) is CompiledFunction
    assert other.stats()["calls"] == 0
    assert other(vector(3)).tolist() == [6.0]
    simple = CompiledFunction(time.perf_counter, wait=True)
    again = pickle.loads(pickle.dumps(simple))
    assert again.__wrapped__ is time.perf_counter
    assert again._wait is True


def test_compiled_in_compiled_is_inlined():
    inner = df.compile(lambda x: x * 2, wait=True)
    outer = df.compile(lambda x: inner(x) + 1, wait=True)
    assert [outer(vector(k)).tolist() for k in (1, 2)] == [[3.0], [5.0]]
    assert ways(outer) == (1, 1, 0, 0)
    assert inner.stats()["calls"] == 0


def test_recursion():
    @df.compile(wait=True)
    def power(x, n):
        return x if n == 1 else power(x, n - 1) * x

    assert [power(vector(2), n).tolist() for n in (3, 3, 2)] == [[8.0], [8.0], [4.0]]
    assert ways(power) == (2, 1, 0, 0)


def test_threads():
    f = df.compile(lambda x, n: (x * n).sum().item(), wait=True)
    assert f(vector(1, 1), 1) == 2.0
    wrong = []

    def work(k):
        for i in range(50):
            if f(vector(k, i), k) != float((k + i) * k):
                wrong.append((k, i))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert ways(f) == (1, 200, 0, 0)


# Which way a call runs ----------------------------------------------------------------------------


def test_eager_while_the_program_is_compiled(monkeypatch):
    ready = threading.Event()

    class Slow:
        def __init__(self, graph, layouts, behind):
            self.inner = compile_graph(graph, layouts, behind=behind)

        @property
        def done(self):
            return ready.is_set()

        def result(self):
            return self.inner.result()

    compile_graph = blocks.compile_graph
    monkeypatch.setattr(blocks, "compile_graph", Slow)
    f = df.compile(lambda x: x * 2)
    assert [f(vector(k)).tolist() for k in (1, 2)] == [[2.0], [4.0]]
    assert ways(f) == (1, 0, 0, 1)
    ready.set()
    assert f(vector(3)).tolist() == [6.0]
    assert ways(f) == (1, 1, 0, 1)


def broken(graph, layouts):
    raise RuntimeError("no compiler today")


def test_compiler_that_fails_raises_under_test(monkeypatch):
    monkeypatch.setattr(blocks, "compile_graph", broken)
    f = df.compile(lambda x: x * 2, wait=True)
    with pytest.raises(CompileError, match="no compiler today"):
        f(vector(1))


def test_compiler_that_fails_runs_eagerly_and_is_counted(monkeypatch):
    monkeypatch.setattr(blocks, "compile_graph", broken)
    f = df.compile(lambda x: x * 2, wait=True)
    before = df.stats()["compiler_errors"]
    with df.config(on_compiler_error="eager"):
        assert [f(vector(k)).tolist() for k in (1, 2)] == [[2.0], [4.0]]
    assert ways(f) == (1, 0, 0, 1)
    assert df.stats()["compiler_errors"] > before


def test_retraces_end_in_co_execution_which_says_so():
    f = df.compile(lambda x, name: {name: x}, wait=True)
    with df.config(retraces=3):
        for i in range(8):
            assert f(vector(1), f"key{i}").keys() == {f"key{i}"}
    assert ways(f) == (4, 0, 4, 0)
    assert "for changing Python values" in f.report().reasons[0]


def test_numpy_errors_that_raise_are_eager():
    f = df.compile(lambda x: x / 0.0, wait=True)
    with np.errstate(divide="ignore"):
        f(vector(1))
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        f(vector(1))
    with np.errstate(divide="ignore"):
        assert f(vector(1)).tolist() == [float("inf")]
    assert ways(f) == (1, 1, 0, 1)


def test_a_failing_op_raises_at_its_own_line():
    @df.compile(wait=True)
    def pick(x, i):
        y = x * 2
        return df.take(y, i)

    x = vector(1, 2, 3)
    assert pick(x, df.tensor([0, 2])).tolist() == [2.0, 6.0]
    assert pick(x, df.tensor([1, 1])).tolist() == [4.0, 4.0]
    with pytest.raises(IndexError) as caught:
        pick(x, df.tensor([1, 5]))
    lines = [entry.line for entry in traceback.extract_tb(caught.value.__traceback__)]
    assert "return df.take(y, i)" in lines
    assert ways(pick) == (1, 1, 0, 1)


def test_pure_calls_are_left_out():
    calls = []

    @df.pure
    def note(k):
        calls.append(k)
        return len(calls)

    f = df.compile(lambda x: x * note("seen"), wait=True)
    assert [f(vector(1)).tolist() for _ in range(3)] == [[1.0]] * 3
    assert calls == ["seen"]


@pytest.mark.parametrize(
    "source",
    ["def f(x):\n    k = 2\n    return x * locals()['k']", "def f(x):\n    return x * 2"],
    ids=["reads its frame", "has no source"],
)
def test_functions_that_cannot_be_copied(source):
    namespace = {}
    exec(source, namespace)
    f = df.compile(namespace["f"], wait=True)
    assert [f(vector(k)).tolist() for k in (1, 2)] == [[2.0], [4.0]]
    assert ways(f) == (1, 0, 1, 0)
    assert "runs as it is" in f.report().reasons[0]


def reads_its_frame(x):
    k = 3  # noqa: F841 (read below)
    return x * sys._getframe().f_locals["k"]


def test_frame_reader_is_named_with_its_line():
    f = df.compile(reads_its_frame, wait=True)
    f(vector(1))
    assert f(vector(2)).tolist() == [6.0]
    assert ways(f) == (1, 0, 1, 0)
    line = reads_its_frame.__code__.co_firstlineno + 2
    assert f"f_locals looks at frames (line {line})" in f.report().reasons[0]


# What is told --------------------------------------------------------------------------------


def test_report_and_explain():
    f = df.compile(lambda x, y: x * 2 + y, wait=True)
    x = vector(1, 2)
    f(x, x)
    f(x, x)
    report = f.report()
    assert report.how == "replay"
    assert report.reasons == ()
    assert [node.op.name for node in report.sections[0].graph.nodes][-1] == "add"
    assert "args[0]" in report.guards
    assert "p.multiply" in f.explain()
    assert f.report(x, x).how == "replay"


def test_explain_says_what_a_library_is_asked_to_do():
    text = df.compile(lambda x: np.convolve(x, x), wait=True).explain(np.ones(3))
    assert "library call of numpy with recipe=convolve;" in text
    assert df.compile(lambda x: df.sort(x), wait=True).explain(vector(2, 1)).count("axis=0") >= 3


NOTED = []


def test_explain_tells_effects_by_the_names_of_globals():
    def noting(x):
        NOTED.append(1)
        return x * 2

    text = df.compile(noting, wait=True).explain(vector(1))
    assert f"vars({__name__})['NOTED'].append(...)" in text
    assert "lies in memory: an output of this part" in text


def test_a_report_runs_nothing():
    log = []
    f = df.compile(lambda log: log.append(1), wait=True)
    f(log)
    assert f.report(log).how == "replay"
    assert log == [1]
    f(log)
    assert log == [1, 1]
    assert ways(f) == (1, 1, 0, 0)


def test_explain_names_the_line_that_keeps_a_function_from_replay():
    def stamped(x):
        return x * time.perf_counter()

    f = df.compile(stamped, wait=True)
    text = f.explain(vector(1))
    assert "perf_counter" in text
    assert "return x * time.perf_counter()" in text


def test_explain_names_the_own_line_that_led_into_a_library():
    def formatted(x):
        return string.Formatter().format("{}", x.shape), x * 2

    f = df.compile(formatted, wait=True)
    reason = f.explain(vector(1)).splitlines()[1]
    assert string.__file__ in reason
    assert f"; reached from {__file__}:" in reason
    assert "return string.Formatter().format" in reason


def test_process_counters():
    before = df.stats()
    f = df.compile(lambda x: x * 3, wait=True)
    for k in range(3):
        f(vector(k))
    after = df.stats()
    assert after["replays"] - before["replays"] == 2
    assert after["recordings"] - before["recordings"] == 1
    assert after["kernel_launches"] > before["kernel_launches"]


# Lines and frames --------------------------------------------------------------------------------


def several_lines(x, xs):
    y = x + 1
    for i in range(2):
        y = y * (i + 1)
    z = [v * 2 for v in xs]
    try:
        w = xs[5]
    except IndexError:
        w = (lambda q: q[0])(z)
    return y + w


def lines_of(run, code):
    seen = []

    def trace(frame, event, argument):
        if frame.f_code.co_filename != code.co_filename:
            return None
        if event == "line":
            seen.append(frame.f_lineno)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    first = code.co_firstlineno
    last = max(line for *_, line in code.co_lines() if line)
    return [line for line in seen if first <= line <= last]


def test_a_debugger_sees_the_same_lines():
    f = df.compile(several_lines, wait=True)
    code = several_lines.__code__
    arguments = (vector(1), [vector(2)])
    plain = lines_of(lambda: several_lines(*arguments), code)
    recorded = lines_of(lambda: f(*arguments), code)
    assert f.stats()["recordings"] == 1
    assert set(recorded) == set(plain)
    f(*arguments)
    assert f.stats()["replays"] == 1


def raises_below(x):
    y = x + 1

    def inner(q):
        return q[99]

    return inner([y])


def test_tracebacks_show_the_users_lines_only():
    f = df.compile(raises_below, wait=True)
    found = []
    for function in (raises_below, f):
        with pytest.raises(IndexError) as caught:
            function(vector(1))
        entries = traceback.extract_tb(caught.value.__traceback__)
        found.append([(e.name, e.lineno) for e in entries if e.filename == __file__][1:])
    assert found[0] == found[1]
    assert f.stats()["recordings"] == 1


def test_a_tensor_of_which_only_the_shape_counts_is_guarded():
    like = df.compile(lambda x: df.zeros_like(x) + 1.0, wait=True)
    shapes = ((2,), (3, 4), (2,), (3, 4))
    assert [like(df.ones(shape)).shape for shape in shapes] == list(shapes)
    assert [like(df.ones(2, dtype=d)).dtype for d in (df.float32, df.float64)] == [
        df.float32, df.float64]  # fmt: skip
    trace = df.compile(lambda x: df.linalg.trace(x, offset=3), wait=True)
    assert [trace(df.ones(s)).shape for s in ((1, 1), (2, 3, 3), (1, 1))] == [(), (2,), ()]
    assert ways(like)[1:] == (3, 0, 0)


def test_very_many_steps_of_plain_python_are_not_noted(monkeypatch):
    monkeypatch.setattr(recorder, "MOST_STEPS", 100)

    def plain(x, n):
        total = 0
        for i in range(n):
            total += math.gcd(i, 6)
        return x * total

    def stepping(x, n):
        for i in range(n):
            x = x * math.gcd(i, 6)
        return x

    given = df.tensor([1.0, 2.0])
    few, many, steps = (df.compile(f, wait=True) for f in (plain, plain, stepping))
    for _ in range(3):
        assert few(given, 40).tolist() == plain(given, 40).tolist()
        assert many(given, 400).tolist() == plain(given, 400).tolist()
        assert steps(given, 90).tolist() == stepping(given, 90).tolist()
    assert few.stats()["replays"] == steps.stats()["replays"] == 2
    assert many.stats()["co_executions"] == 2
    assert "calls and items of loops among few operations" in str(many.report().reasons)


@pytest.mark.parametrize("outside", [True, False])
def test_functions_that_a_class_binds_in_its_own_way(outside):
    def both(kind: Any, f: Any) -> Any:
        return df.compile(kind(f), wait=True) if outside else kind(df.compile(f, wait=True))

    def own(self):
        """A tensor."""
        return df.ones(3) * self.factor

    class Scale:
        factor = 2.0
        of_class = both(classmethod, lambda cls, x: x * cls.factor)
        of_nothing = both(staticmethod, lambda x: x + 1)
        of_itself = both(property, own)

    scale, x = Scale(), df.asarray([1.0, 2.0])
    for _ in range(3):
        assert Scale.of_class(x).tolist() == scale.of_class(x).tolist() == [2.0, 4.0]
        assert Scale.of_nothing(x).tolist() == scale.of_nothing(x).tolist() == [2.0, 3.0]
        assert scale.of_itself.tolist() == [2.0] * 3
    assert Scale.of_itself.__doc__ == "A tensor."
    for f in (Scale.of_class.__func__, Scale.of_nothing, Scale.of_itself.fget):
        assert f.stats()["replays"] >= 2
    with pytest.raises(AttributeError):
        scale.of_itself = 3

"""Python code that runs where no hook sees it: called by C code, or because an object dies."""

import gc
import importlib.util
import sys
import threading
import types
import weakref

import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)


class Side:
    """What the objects below change when they are asked, or die."""

    gain = 1.0


class Mortal:
    def __del__(self):
        Side.gain += 1.0


def object_dies_by_a_store(compile, see):
    box = types.SimpleNamespace()

    @compile
    def f(x):
        box.child = None
        return x * Side.gain

    Side.gain = 1.0
    for _ in range(4):
        box.child = Mortal()
        see(f, tensor(*X))


def object_dies_by_a_pop(compile, see):
    held, by_name = [], {}

    @compile
    def f(x):
        held.pop()
        by_name["a"] = None
        return x * Side.gain

    Side.gain = 1.0
    for _ in range(4):
        held.append([Mortal()])
        by_name["a"] = {"b": Mortal()}
        see(f, tensor(*X))


def a_tensor_dies_by_a_store(compile, see):
    held = {"w": tensor(*X)}

    @compile
    def f(x, asked):
        made = held["w"] * 2
        held["w"] = made
        return x + made, asked() is None

    for _ in range(4):
        see(f, tensor(*X), weakref.ref(held["w"]))


def death_asked_of_a_weak_reference(compile, see):
    @compile
    def f(x, held, watch):
        held.pop()
        return x * 2.0, watch() is None

    for _ in range(4):
        held = [Side()]
        see(f, tensor(*X), held, weakref.ref(held[0]))


def object_dies_with_a_variable(compile, see):
    box = types.SimpleNamespace()

    @compile
    def f(x):
        child = box.child
        box.child = None
        child = None  # noqa: F841
        return x * Side.gain

    Side.gain = 1.0
    for _ in range(4):
        box.child = Mortal()
        see(f, tensor(*X))


def death_told_by_a_weak_reference(compile, see):
    box = types.SimpleNamespace()

    def told(_):
        Side.gain += 1.0

    @compile
    def f(x):
        box.child = None
        return x * Side.gain

    Side.gain = 1.0
    for _ in range(4):
        box.child = Side()
        reference = weakref.ref(box.child, told)
        see(f, tensor(*X))
        see.that(reference() is None)


class Key:
    def __hash__(self):
        return hash("a")

    def __eq__(self, other):
        Side.gain += 1.0
        return other == "a"


def key_compared_in_c(compile, see):
    held: dict = {Key(): 5.0}

    @compile
    def read(x):
        return x * held["a"] + Side.gain

    @compile
    def asked(x):
        return x * ("a" in held) + Side.gain

    @compile
    def stored(x):
        held["a"] = 7.0
        return x * Side.gain

    for f in (read, asked, stored):
        Side.gain = 1.0
        for _ in range(3):
            see(f, tensor(*X))


def output_written_in_python(compile, see):
    class Writer:
        def write(self, text):
            Side.gain += 1.0

        def flush(self):
            pass

    @compile
    def f(x):
        print("text")
        return x * Side.gain

    Side.gain = 1.0
    for _ in range(3):
        before, sys.stdout = sys.stdout, Writer()
        try:
            out = f(tensor(*X))
        finally:
            sys.stdout = before
        see.that(out)
        see(f, tensor(*X))


def object_dies_when_it_is_matched(compile, see):
    log = []

    class Told:
        def __init__(self, n):
            self.n = n

        def __del__(self):
            log.append(self.n)

    @compile
    def f(x, n):
        match [Told(n), Told(5)]:
            case [Told(n=1), rest]:
                log.append(("one", rest.n))
            case [Told(n=k), _] if k > 2:
                log.append("many")
        log.append("over")
        return x * n

    for n in (1, 1, 2, 3, 3):
        see(f, tensor(*X), n)
        see.that(log)
        log.clear()


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)


# Others who watch -------------------------------------------------------------------------------


def printing():
    """A compiled function that lets C code work on an object of the user."""

    @df.compile(wait=True)
    def f(x):
        print("text")
        return x * 2

    return f


def test_the_reason_names_the_function():
    held: dict = {Key(): 5.0}
    f = df.compile(lambda x: x * held["a"], wait=True)
    f(tensor(*X))
    assert "Key.__eq__ was called by C code, past the hooks" in f.explain()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="sys.monitoring serves several at once")
def test_a_profiler_stays_set_and_the_call_is_not_kept():
    seen, f = [], printing()

    def profiler(frame, event, _):
        seen.append((event, frame.f_code.co_name))

    sys.setprofile(profiler)
    try:
        f(tensor(*X))
        assert sys.getprofile() is profiler
    finally:
        sys.setprofile(None)
    assert ("call", "f") in seen
    assert "a profiler is set" in f.explain()
    for _ in range(2):
        f(tensor(*X))
    assert f.stats()["recordings"] == 2
    assert f.stats()["replays"] == 1


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no sys.monitoring")
def test_tools_of_others_stay():
    taken = [n for n in range(6) if sys.monitoring.get_tool(n) is None]  # type: ignore[attr-defined]
    for number in taken:
        sys.monitoring.use_tool_id(number, "test")  # type: ignore[attr-defined]
    f = printing()
    f(tensor(*X))
    for number in taken:
        assert sys.monitoring.get_tool(number) == "test"  # type: ignore[attr-defined]
        sys.monitoring.free_tool_id(number)  # type: ignore[attr-defined]
    for _ in range(2):
        f(tensor(*X))
    assert f.stats()["replays"] == 1
    assert all(sys.monitoring.get_tool(n) is None for n in taken)  # type: ignore[attr-defined]


def test_a_tracer_stays_set():
    f, lines = printing(), []

    def tracer(frame, event, _):
        if event == "line" and frame.f_code.co_name == "f":
            lines.append(frame.f_lineno)
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        f(tensor(*X))
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)
    assert len(set(lines)) == 2
    assert sys.getprofile() is None
    f(tensor(*X))
    assert f.stats()["replays"] == 1


def test_other_threads_ring_no_alarm():
    f, stop = printing(), threading.Event()

    def busy():
        while not stop.is_set():
            (lambda: 1)()

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for _ in range(3):
            f(tensor(*X))
    finally:
        stop.set()
        thread.join()
    assert f.stats()["replays"] == 2


def test_an_error_closes_the_alarm():
    @df.compile(wait=True)
    def f(x, held):
        try:
            held.pop()
        except IndexError:
            x = x + 1
        return x * Side.gain

    Side.gain = 1.0
    for _ in range(3):
        f(tensor(*X), [])
        assert sys.getprofile() is None
    assert f.stats()["replays"] == 2


# What a compiled function keeps alive -----------------------------------------------------------


class Big:
    """Something large that a function only uses."""

    def __init__(self):
        self.gain, self.weights = 2.0, tensor(*X)

    def scaled(self, x):
        return x * self.gain + self.weights


def test_arguments_die_with_their_last_user():
    f = df.compile(lambda big, x: big.scaled(x), wait=True)
    gc.disable()
    try:
        big = Big()
        dead = weakref.ref(big)
        for _ in range(3):
            f(big, tensor(*X))
        del big
        assert dead() is None
    finally:
        gc.enable()
    assert f.stats()["replays"] == 2


def made(path, gain):
    """A module of its own, with a class, a function and something big."""
    path.write_text(f"""
class Layer:
    def __call__(self, x):
        return x * GAIN
class Big: ...
GAIN = {gain}
BIG = Big()
def scaled(x, layer):
    return layer(x) * 2
""")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_modules_classes_and_functions_die_although_guards_know_them(tmp_path):
    f = df.compile(lambda function, layer, x: function(x, layer) + 1, wait=True)
    module = made(tmp_path / "dying.py", 3.0)
    watched = [weakref.ref(x) for x in (module, module.Layer, module.scaled, module.BIG)]
    for _ in range(3):
        assert f(module.scaled, module.Layer(), tensor(1.0)).tolist() == [7.0]
    assert f.stats()["replays"] == 2
    del sys.modules["dying"], module
    gc.collect()
    assert [reference() for reference in watched] == [None] * 4
    again = made(tmp_path / "dying.py", 5.0)  # its objects may lie where the dead ones lay
    try:
        for _ in range(2):
            assert f(again.scaled, again.Layer(), tensor(1.0)).tolist() == [11.0]
    finally:
        del sys.modules["dying"]
    assert f.stats()["recordings"] == 2
    assert f.stats()["replays"] == 3


def test_a_compiled_function_dies_with_what_it_knows():
    class Layer:
        def __call__(self, x):
            return x * 2

    def use(layer, x):
        return layer(x)

    f = df.compile(use, wait=True)
    for _ in range(2):
        f(Layer(), tensor(1.0))
    assert f.stats()["replays"] == 1
    watched = [weakref.ref(x) for x in (Layer, use, f)]
    del Layer, use, f
    gc.collect()
    assert [reference() for reference in watched] == [None] * 3


def test_a_weak_reference_to_a_dropped_tensor_is_not_replayed():
    def f(x, held, watch):
        held[0] = x
        return x * 2.0, watch() is None

    fast = df.compile(f, wait=True)
    asked = []
    for _ in range(5):
        held = [tensor(1.0)]
        asked.append(fast(tensor(*X), held, weakref.ref(held[0]))[1])
    assert asked[1:] == [True] * 4  # while the first is recorded, what it was given lives
    assert fast.stats()["replays"] == 0

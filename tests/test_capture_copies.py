"""Instrumented copies: found, fresh, and doing what the functions do, for other people's code."""

import ast
import base64
import bisect
import colorsys
import copy
import dataclasses
import difflib
import fractions
import functools
import heapq
import inspect
import ipaddress
import json.decoder
import os
import statistics
import string
import textwrap
import types

import pytest

import dualflow as df
from dualflow.capture import copies, instrument
from dualflow.capture import locate as located
from dualflow.capture.copies import instrumented
from dualflow.capture.locate import NoSource, rebuild, text_of
from dualflow.capture.slots import Refused
from dualflow.runtime import cache


def locate(code, namespace):
    return located.locate(code, text_of(code, namespace))


MODULES = [ast, base64, bisect, colorsys, copy, dataclasses, difflib, fractions, functools, heapq,
           inspect, ipaddress, json.decoder, statistics, string, textwrap]  # fmt: skip


def functions_of(module):
    todo = list(vars(module).values())
    while todo:
        value = todo.pop()
        if isinstance(value, (staticmethod, classmethod)):
            value = value.__func__
        if isinstance(value, type) and value.__module__ == module.__name__:
            todo += list(vars(value).values())
        if isinstance(value, types.FunctionType) and value.__code__.co_filename == module.__file__:
            yield value


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_source_recompiles_to_the_running_code(module):
    missing = []
    for function in functions_of(module):
        try:
            locate(function.__code__, function.__globals__)
        except NoSource:
            missing.append(function.__qualname__)
    assert not missing


def test_most_functions_can_be_instrumented():
    done = refused = 0
    for module in MODULES:
        for function in functions_of(module):
            try:
                made = instrumented(function.__code__, function.__globals__)
            except Refused:
                refused += 1
                continue
            done += 1
            assert made.code.co_firstlineno == function.__code__.co_firstlineno
            assert made.code.co_filename == function.__code__.co_filename
            assert set(made.code.co_freevars) >= set(function.__code__.co_freevars)
    assert done > 4 * refused


CALLS = [
    (textwrap.fill, ("some words that are to be wrapped at some width", 12)),
    (textwrap.dedent, ("    a\n      b\n    c",)),
    (colorsys.rgb_to_hls, (0.2, 0.4, 0.9)),
    (colorsys.hsv_to_rgb, (0.3, 0.5, 0.7)),
    (statistics.median, ([3, 1, 2],)),
    (statistics.quantiles, ([3, 1, 2, 9],)),
    (heapq.nsmallest, (2, [5, 3, 8, 1])),
    (bisect.insort_right, ([1, 3, 5], 4)),
    (difflib.get_close_matches, ("appel", ["ape", "apple", "peach"])),
    (string.capwords, ("hello big world",)),
    (base64.b32hexencode, (b"data",)),
    (json.decoder.py_scanstring, ('a b\\n"', 0)),
    (ipaddress.ip_address, ("127.0.0.1",)),
    (copy.deepcopy, ({"a": [1, (2, 3)], "b": {4}},)),
]


@pytest.mark.parametrize(("function", "arguments"), CALLS, ids=lambda x: getattr(x, "__name__", ""))
def test_copies_do_what_the_functions_do(function, arguments):
    f = df.compile(function, wait=True)
    for _ in range(3):
        ours, theirs = copy.deepcopy(arguments), copy.deepcopy(arguments)
        assert f(*ours) == function(*theirs)
        assert ours == theirs
    assert f.stats()["recordings"] <= 2  # some fill a cache first


def test_an_iterator_that_was_asked_already_goes_on():
    asked = []

    def letters():
        for letter in "abc":
            asked.append(letter)
            yield letter

    f = df.compile(lambda: ("-".join(map(str.upper, letters())), max(iter([3, 1]))), wait=True)
    assert [f(), f()] == [("A-B-C", 3)] * 2
    assert asked == list("abcabc")


def test_an_edited_file_is_noticed(tmp_path):
    file = tmp_path / "module.py"
    file.write_text("def f(x):\n    return x * 2\n")
    namespace = {}
    exec(compile(file.read_text(), str(file), "exec"), namespace)
    locate(namespace["f"].__code__, namespace)
    file.write_text("def f(x):\n    return x * 30\n")
    with pytest.raises(NoSource, match="no longer holds f"):
        locate(namespace["f"].__code__, namespace)


def test_names_are_mangled_and_cells_kept():
    class Secret:
        def __init__(self):
            self.__k = 2

        def get(self, x):
            kept = super().__init__
            return [kept is not None and self.__k * x for _ in range(1)]

    node, cls, module = locate(Secret.get.__code__, globals())
    again = rebuild(node, Secret.get.__code__, cls, module)
    assert again.co_names == Secret.get.__code__.co_names
    f = df.compile(Secret().get, wait=True)
    assert [f(3), f(3)] == [[6], [6]]


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """An empty cache folder, and how often a copy is made."""
    made = []
    monkeypatch.setattr(copies, "_copies", {})
    monkeypatch.setattr(
        copies, "instrument", lambda *given: made.append(given) or instrument.instrument(*given)
    )
    with df.config(cache=tmp_path / "kernels"):
        yield made


def test_copies_are_kept_on_disk(counted):
    def total(items, k=2):
        return [item * k + more for item in items if (more := item + 1) > 0]

    first = instrumented(total.__code__, total.__globals__)
    copies._copies.clear()
    again = instrumented(total.__code__, total.__globals__)
    assert again is not first
    assert again == first
    assert len(counted) == 1


def test_copies_of_an_edited_file_are_made_anew(counted, tmp_path):
    file = tmp_path / "module.py"
    for body in ("return x * 2", "return x * 30"):
        file.write_text(f"def f(x):\n    {body}\n")
        namespace = {}
        exec(compile(file.read_text(), str(file), "exec"), namespace)
        instrumented(namespace["f"].__code__, namespace)
    assert len(counted) == 2
    file.write_text("def g(x):\n    return x\n")
    copies._copies.clear()
    with pytest.raises(NoSource):
        instrumented(namespace["f"].__code__, namespace)


def test_copies_of_another_version_are_made_anew(counted, monkeypatch):
    """Hooks that are called by a copy may be others in another version of the package."""
    for version in ("one", "other"):
        copies._copies.clear()
        monkeypatch.setattr(copies.disk, "stamp", lambda *rooms, version=version: version)
        instrumented(textwrap.dedent.__code__, textwrap.dedent.__globals__)
    assert len(counted) == 2


def test_a_stamp_tells_files_and_places_apart(tmp_path):
    found = set()
    for name in ("one", "other"):
        room = tmp_path / name
        room.mkdir()
        for text in ("x = 1", "x = 20"):
            (room / "module.py").write_text(text)
            cache.stamp.cache_clear()
            found.add(cache.stamp(str(room)))
    assert len(found) == 4
    capture = cache.stamp(os.path.dirname(copies.__file__))
    assert all(f"{name}.py" in capture for name in ("frame", "displays", "operators", "patterns"))

"""CPython's own language tests with each test method decorated by `df.compile`.

Every method of the interpreter's `test` package (of doctests, what runs them) runs plainly and
decorated, in two processes and twice in each, and must come out alike each time:
`python tests/run_cpython.py [test_dict ...]`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import types
import unittest
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dualflow as df

MODULES = """
    test_generators test_exceptions test_contextlib test_scope test_with test_class test_functools
    test_dict test_list test_set test_iter test_unpack test_unpack_ex test_patma test_dataclasses
    test_enum test_decorators test_raise test_call test_keywordonlyarg test_positional_only_arg
    test_named_expressions test_augassign test_bool test_int test_float test_complex test_fstring
    test_listcomps test_dictcomps test_setcomps test_genexps test_global test_property test_descr
    test_descrtut test_super test_slice test_tuple test_range test_enumerate test_itertools
    test_operator test_compare test_contains test_binop test_unary test_yield_from test_coroutines
    test_asyncgen test_exception_group test_except_star test_weakref test_copy test_abc
    test_userdict test_collections test_deque test_ordered_dict test_defaultdict test_heapq
    test_bisect test_types test_funcattrs test_extcall test_opcodes test_grammar test_metaclass
    test_subclassinit test_dictviews test_generator_stop test_exception_variations
    test_exception_hierarchy test_baseexception test_pow test_format test_string test_numeric_tower
    test_traceback test_frame test_dynamic test_dynamicclassattribute test_richcmp test_builtin
    test_print test_compile test_inspect test_sys_settrace test_sys_setprofile test_warnings
    test_context test_pickle test_weakset test_genericalias test_genericclass test_type_annotations
    test_isinstance test_iterlen test_opcache test_peepholer test_syntax test_symtable test_dis
    test_code test_ast test_future_stmt test_int_literal test_strtod test_long test_longexp
    test_hash test_index test_typechecks test_structseq test_sort test_stringprep
    test_abstract_numbers test_dict_version test_errno test_contextlib_async test_type_comments
    test_type_cache test_pep646_syntax test_unicode_identifiers test_string_literals test_utf8source
    test_source_encoding test_eof test_flufl test_codeop test_code_module test_module test_import
    test_pkg test_runpy test_gc test_finalization test_memoryview test_array test_bytes test_unicode
    test_struct test_userlist test_userstring test_trace test_bdb test_cprofile test_profile
    test_doctest test_keyword test_copyreg test_reprlib test_typing test_ucn test_fractions
    test_statistics test_random test_textwrap test_pprint test_decimal test_re test_json test_math
    test_cmath test_csv test_difflib test_queue test_calendar test_shlex test_configparser
    test_argparse test_base64 test_colorsys test_graphlib test_ipaddress test_memoryio test_sched
    test_secrets test_tempfile test_threading_local test_timeit test_urlparse test_uuid test_fnmatch
    test_html test_thread test_threadsignals test_datetime test_logging test_io test_threading
    test_unparse test_tokenize test_unittest
""".split()  # noqa: SIM905
#: what DESIGN does not promise: the identity of tuples and code objects that CPython passes on or
#: uses again, how much memory there is, and when what a recording has met dies
OTHERWISE = frozenset(
    [f"test.test_itertools.TestBasicOps.test_{name}_tuple_reuse" for name in
     ("zip", "zip_longest", "combinations", "combinations_with_replacement", "permutations",
      "product")]
    + """
    test.test_call.TestPEP590.test_vectorcall_override
    test.test_compile.TestSpecifics.test_merge_constants
    test.test_dis.InstructionTests.test_nested
    test.test_gc.GCTests.test_get_objects_arguments
    test.test_gc.GCTests.test_newinstance
    test.test_ordered_dict.CPythonOrderedDictTests.test_reference_loop
    test.test_weakref.ReferencesTestCase.test_callback_in_cycle_resurrection
    """.split()  # noqa: SIM905
)  # fmt: skip
TIMES = 2
_ADDRESS = re.compile(r"0x[0-9a-f]+")


class Outcomes(unittest.TestResult):
    """What became of each test, by its name and `suffix`."""

    def __init__(self, suffix: str) -> None:
        super().__init__()
        self._suffix = suffix
        self.by_name: dict[str, str] = {}
        self.told: dict[str, str] = {}

    def _note(self, test: Any, what: str, error: Any = None) -> None:
        name = test.id() + self._suffix
        if error is not None:
            what += f": {error[0].__name__}: {_ADDRESS.sub('0x', str(error[1]))}"
        self.by_name[name] = max(self.by_name.get(name, ""), what)
        if error is not None:
            self.told[name] = self._exc_info_to_string(error, test)  # type: ignore[attr-defined]

    def addSuccess(self, test: Any) -> None:  # noqa: N802
        self._note(test, "passed")

    def addSkip(self, test: Any, reason: str) -> None:  # noqa: N802
        self._note(test, "skipped")

    def addFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        self._note(test, "failed", err)

    def addError(self, test: Any, err: Any) -> None:  # noqa: N802
        self._note(test, "raised", err)

    def addExpectedFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        self._note(test, "expected failure")

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
        if err is not None:
            self._note(test, "sub-test", err)


def _cases(suite: Any) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _cases(test)
        elif isinstance(test, unittest.TestCase):
            yield test


def _decorate(suite: unittest.TestSuite) -> list[Any]:
    """Decorate the method of each test, where the class that defines it holds it."""
    compiled: dict[tuple[type, str], Any] = {}
    for case in _cases(suite):
        name = getattr(case, "_testMethodName", "")
        cls = next((cls for cls in type(case).__mro__ if name in vars(cls)), None)
        method = vars(cls)[name] if cls is not None else None
        if cls is not None and isinstance(method, types.FunctionType):
            compiled[cls, name] = df.compile(method)
            setattr(cls, name, compiled[cls, name])
    return list(compiled.values())


def run_here(module: str, way: str) -> dict[str, Any]:
    """The outcomes of all test methods of a module in this process, each time."""
    warnings.simplefilter("ignore")
    suite = unittest.TestLoader().loadTestsFromName("test." + module)
    compiled = _decorate(suite) if way == "compiled" else []
    results = [Outcomes(f" #{i + 1}" if i else "") for i in range(TIMES)]
    unittest.TestSuite._cleanup = False  # type: ignore[attr-defined]
    for result in results:
        suite.run(result)
    ways: dict[str, int] = {}
    for function in compiled:
        for name, count in function.stats().items():
            ways[name] = ways.get(name, 0) + count
    outcomes, told = {}, {}
    for result in results:
        outcomes |= result.by_name
        told |= result.told
    return {"outcomes": outcomes, "told": told, "ways": ways}


def run(module: str, way: str, limit: float = 300) -> dict[str, Any]:
    """The same in a process of its own; `way` is "plain" or "compiled"."""
    command = [sys.executable, os.path.abspath(__file__), module, "--way", way]
    places = [str(Path(df.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}
    with tempfile.TemporaryDirectory() as folder:
        made = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False,
                              cwd=folder, env=environment)  # fmt: skip
    last = made.stdout.strip().rpartition("\n")[2]
    if made.returncode or not last.startswith("{"):
        raise RuntimeError(f"{module}, {way}, ended with {made.returncode}: {made.stderr[-3000:]}")
    return json.loads(last)


def differences(module: str) -> tuple[dict[str, tuple[str, str, str]], dict[str, Any]]:
    """Tests that came out otherwise (plain, compiled, what was told), and the compiled run."""
    plain, compiled = run(module, "plain"), run(module, "compiled")
    found = {}
    for name in plain["outcomes"] | compiled["outcomes"]:
        one, other = plain["outcomes"].get(name, "-"), compiled["outcomes"].get(name, "-")
        if one != other and name.partition(" ")[0] not in OTHERWISE:
            found[name] = one, other, compiled["told"].get(name, "")
    return found, compiled


def available(module: str) -> bool:
    """Whether this interpreter comes with the module: many are packaged without their tests."""
    try:
        return importlib.util.find_spec("test." + module) is not None
    except ModuleNotFoundError:
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("modules", nargs="*", default=MODULES)
    options.add_argument("--way", choices=["plain", "compiled"])
    options.add_argument("--told", action="store_true", help="print the tracebacks too")
    given = options.parse_args(arguments)
    if given.way:
        with df.config(on_compiler_error="raise"):
            made = run_here(given.modules[0], given.way)
        print("\n" + json.dumps(made), flush=True)
        return 0
    total = wrong = 0
    for module in given.modules:
        if not available(module):
            print(f"{module}: not there")
            continue
        try:
            found, compiled = differences(module)
        except subprocess.TimeoutExpired:
            print(f"{module}: does not end", flush=True)
            wrong += 1
            continue
        total += len(compiled["outcomes"])
        wrong += len(found)
        ways = {k: v for k, v in compiled["ways"].items() if v}
        print(
            f"{module}: {len(compiled['outcomes'])} tests, {len(found)} differ; {ways}", flush=True
        )
        for name, (one, other, told) in found.items():
            print(f"    {name}: {one}; compiled: {other}")
            if given.told:
                print(told)
    print(f"{total} tests, {wrong} differ")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())

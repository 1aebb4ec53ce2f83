"""The command `dualflow`: compare both modes of a function, explain one, look after the cache.

dualflow compare                      the built-in demonstration: digits, eager and compiled
dualflow compare FILE.py:FUNCTION     both modes of your function
dualflow explain FILE.py:FUNCTION     its graph, kernels and reasons
dualflow cache [--clear]              the compiled kernels on disk
"""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dualflow.base.config import active
from dualflow.base.errors import ArgumentError, DualflowError
from dualflow.capture import compile as df_compile
from dualflow.inspect import digits_report, page, show
from dualflow.inspect.compare import compare
from dualflow.runtime import cache


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status (2: the user's arguments or files are wrong)."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except UsageError as error:
        instead = f"; write instead: {error.instead}" if error.instead else ""
        print(f"dualflow: {error.what}{instead}", file=sys.stderr)
        return 2
    except DualflowError as error:
        print(f"dualflow: {error}", file=sys.stderr)
        return 2


class UsageError(ArgumentError):
    """Something that the command was told is wrong."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dualflow", description="eager and compiled array code")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    both = commands.add_parser("compare", help="run a function in both modes and compare")
    both.add_argument("target", nargs="?", help="FILE.py:FUNCTION; without it, the demonstration")
    both.add_argument("--args", default=None, metavar="EXPRESSION", help=_ARGS_HELP)
    both.add_argument("--seconds", type=float, default=2.0, help="about how long to time (2)")
    both.add_argument("--json", action="store_true", help="print the figures as JSON")
    both.add_argument("--html", type=Path, metavar="PAGE", help="also write an HTML page")
    both.set_defaults(run=_compare)
    why = commands.add_parser("explain", help="print graph, kernels and reasons of a function")
    why.add_argument("target", help="FILE.py:FUNCTION")
    why.add_argument("--args", default=None, metavar="EXPRESSION", help=_ARGS_HELP)
    why.set_defaults(run=_explain)
    kept = commands.add_parser("cache", help="show or clear the compiled kernels on disk")
    kept.add_argument("--clear", action="store_true", help="remove them")
    kept.set_defaults(run=_cache)
    return parser


_ARGS_HELP = (
    "the arguments: a Python expression evaluated in the file, a tuple for several "
    "(default: call FUNCTION_inputs() or inputs() of the file, or no arguments)"
)


def _compare(options: argparse.Namespace) -> int:
    if options.target is None:
        return digits_report.main(as_json=options.json, html=options.html)
    function, args = load(options.target, options.args)
    found = compare(function, *args, seconds=options.seconds)
    if options.html:
        options.html.write_text(page.page(found), encoding="utf-8")
    if options.json:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        show.show(found)
    return 0


def _explain(options: argparse.Namespace) -> int:
    function, args = load(options.target, options.args)
    plain = getattr(function, "__wrapped__", function)
    compiled = df_compile(plain, wait=True)
    compiled(*args)
    print(compiled.explain(*args))
    return 0


def _cache(options: argparse.Namespace) -> int:
    if options.clear:
        print(f"removed {cache.clear()} kernels")
        return 0
    entries = list(cache.entries())
    total = sum(entry.nbytes for entry in entries)
    print(f"{active().cache}: {len(entries)} kernels, {total / 1024:.0f} KiB")
    return 0


def load(target: str, expression: str | None = None) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The function that `FILE.py:FUNCTION` names, and its arguments.

    Raises:
        UsageError: no such file or function, or arguments that are no Python or do not fit.
    """
    file, colon, name = target.rpartition(":")
    path = Path(file)
    if not colon or not path.is_file():
        what = f"no function named after {target!r}" if Path(target).is_file() else None
        raise UsageError(what or f"no file {file or target!r}", instead="FILE.py:FUNCTION")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file} is no Python file", instead="FILE.py:FUNCTION")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.resolve().parent))
    spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value)]
        raise UsageError(f"{file} has no function {name!r}", instead=", ".join(known))
    args = _arguments(module, name, expression)
    _check_arguments(function, name, args)
    return function, args


def _check_arguments(function: Callable[..., Any], name: str, args: tuple[Any, ...]) -> None:
    try:
        inspect.signature(function).bind(*args)
    except TypeError as cause:
        raise UsageError(
            f"{name}() cannot be called with {len(args)} arguments: {cause}",
            instead=f"--args EXPRESSION, or a function {name}_inputs() in the file",
        ) from cause
    except ValueError:  # a built-in function that does not tell its arguments
        return


def _arguments(module: Any, name: str, expression: str | None) -> tuple[Any, ...]:
    if expression is not None:
        try:
            args = eval(expression, vars(module))
        except SyntaxError as cause:
            raise UsageError(f"--args {expression!r} is no Python expression") from cause
        return args if isinstance(args, tuple) else (args,)
    for maker in (f"{name}_inputs", "inputs"):
        if callable(getattr(module, maker, None)):
            args = getattr(module, maker)()
            return args if isinstance(args, tuple) else (args,)
    return ()


if __name__ == "__main__":
    sys.exit(main())

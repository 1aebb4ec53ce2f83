"""The layers, the tree as a map, and documentation of what is public."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "dualflow"
FORBIDDEN = {"utils", "helpers", "common", "core", "misc"}
HEAVY = {"cuda", "numba", "llvmlite", "ml_dtypes", "triton", "rich", "cupy", "cupyx", "scipy"}
#: where an import inside a function may stand: heavy or optional packages only
LAZY_ROOMS = {"base", "runtime", "inspect", "codegen", "array", "cli"}


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [("." * node.level) + (node.module or "")]
    return []


def test_layers_hold():
    script = "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_folders_have_plain_names_and_say_what_goes_in_and_out():
    for folder in [PACKAGE, *{path.parent for path in files()}]:
        assert folder.name not in FORBIDDEN
        init = folder / "__init__.py"
        assert ast.get_docstring(ast.parse(init.read_text())), f"{init} has no docstring"


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_inside_functions_are_heavy_packages_only(path: Path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    tree = ast.parse(path.read_text())
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    for function in functions:
        for node in ast.walk(function):
            for name in imported(node):
                heavy = name.lstrip(".").split(".")[0] in HEAVY
                lazily = name.startswith((".", "dualflow.runtime.cpu_math"))
                assert heavy or lazily, f"{path}: {name} in a function"
                assert room in LAZY_ROOMS, f"{path}: {name} in a function"


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_star_imports(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert all(alias.name != "*" for alias in node.names)


def test_nothing_but_the_records_names_an_op():
    """Rooms treat ops by kind: no comparison with an op's name outside `ops/`."""
    for path in files():
        if path.relative_to(PACKAGE).parts[0] == "ops":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare) and isinstance(node.left, ast.Attribute):
                left = ast.unparse(node.left)
                strings = [c for c in node.comparators if isinstance(c, ast.Constant)]
                named = any(isinstance(c.value, str) for c in strings)
                assert not (left.endswith("op.name") and named), f"{path}:{node.lineno}: {left}"


def test_every_public_name_is_documented_and_typed():
    df = importlib.import_module("dualflow")
    for name in df.__all__:
        found = getattr(df, name)
        if inspect.isfunction(found):
            assert inspect.getdoc(found), f"df.{name} has no docstring"
            assert "return" in found.__annotations__, f"df.{name} does not say what it returns"
        elif inspect.isclass(found):
            assert inspect.getdoc(found), f"df.{name} has no docstring"


def test_the_root_imports_nothing_heavy():
    script = (
        f"import sys, dualflow; print([name for name in {sorted(HEAVY)!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"

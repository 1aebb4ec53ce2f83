"""The README's pieces: two commands that work, an example that runs, names that exist."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dualflow as df

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def steps(command: str) -> list[list[str]]:
    """The words of the commands that `&&` joins."""
    return [shlex.split(step) for step in command.strip().split("&&")]


def test_there_are_two_commands_of_a_line_each():
    assert len(blocks("sh")) == 2
    for block in blocks("sh"):
        assert len(block.splitlines()) == 1


def test_both_make_an_environment_and_install_into_it():
    for block in blocks("sh"):
        make, install, run = steps(block)
        assert make == ["python3", "-m", "venv", ".venv"]
        assert install[:3] == [".venv/bin/pip", "install", "-q"]
        assert run[0].startswith(".venv/bin/")


def test_the_first_runs_an_entry_point_that_exists():
    _, install, run = steps(blocks("sh")[0])
    assert install[3:] == ["."]
    name = Path(run[0]).name
    module, _, function = PROJECT["scripts"][name].partition(":")
    assert run[1:] == ["compare"]
    code = (
        "import sys, importlib; sys.argv[1:] = ['compare', '--help']; "
        f"sys.exit(importlib.import_module({module!r}).{function}())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "demonstration" in done.stdout


def test_the_second_installs_an_extra_that_exists_and_runs_what_is_in_it():
    _, install, run = steps(blocks("sh")[1])
    extras = re.findall(r"\[(.*?)\]", install[-1])
    assert extras
    wanted = {n.strip() for group in extras for n in group.split(",")}
    assert wanted <= set(PROJECT["optional-dependencies"])
    assert run[1:3] == ["-m", "pytest"]
    names = " ".join(PROJECT["optional-dependencies"]["test"])
    for package in ("pytest", "pytest-xdist", "pytest-timeout", "hypothesis", "ruff", "pyright"):
        assert package in names
    assert "-n" not in run or importlib.util.find_spec("xdist")


def test_extras_that_the_project_promises():
    assert set(PROJECT["optional-dependencies"]) == {
        "gpu",
        "gpu-cuda12",
        "test",
        "bench",
        "tutorials",
    }
    assert PROJECT["requires-python"] == ">=3.11"


def test_the_module_runs_as_the_command_does():
    done = subprocess.run(
        [sys.executable, "-m", "dualflow", "compare", "nothing.py:f"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "nothing.py" in done.stderr
    assert "Traceback" not in done.stderr


EXAMPLE = """
import dualflow as df

model = df.nn.Linear(4, 3)
optimizer = df.optim.SGD(model.parameters(), lr=0.1)

{example}

images, labels = df.random.normal((8, 4)), df.random.integers(0, 3, (8,))
losses = [step(images, labels).item() for _ in range(4)]
assert losses[3] < losses[0], losses
many = [step(images * 100, labels).item() for _ in range(3)]
"""


def test_the_example_runs(tmp_path, capsys):
    (example,) = blocks("python")
    file = tmp_path / "example.py"
    file.write_text(EXAMPLE.format(example=example))
    names: dict[str, object] = {}
    exec(compile(file.read_text(), str(file), "exec"), names)
    stats = names["step"].stats()  # type: ignore[attr-defined]
    assert stats["calls"] == 7
    assert stats["co_executions"] == 0
    large = [line for line in capsys.readouterr().out.splitlines() if line.startswith("large loss")]
    assert len(large) == sum(loss > 3 for loss in [*names["losses"], *names["many"]])  # type: ignore[misc]
    assert large


def test_names_of_the_readme_exist():
    for name in set(re.findall(r"`df\.(\w+)", README)):
        assert hasattr(df, name), name
    for path in re.findall(r"`([\w./]+\.(?:py|md))`", README):
        assert list(ROOT.rglob(Path(path).name)), path
    for setting in re.findall(r"`(DUALFLOW_\w+)`", README):
        assert setting in (ROOT / "dualflow" / "base" / "config.py").read_text()


def test_the_speeds_are_those_of_the_newest_results():
    results = max((ROOT / "benchmarks" / "results").glob("*.json"), key=lambda file: file.name)
    every = json.loads(results.read_text())["rows"]
    measured = [row for row in every if row.get("threads", 1) == 1]
    header, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in README.splitlines()
        if line.startswith("|")
    ]
    peers = [name.lower().replace("pytorch", "torch") for name in header[1:]]
    assert len(rows) >= 8
    for label, *cells in rows:
        word = label.split()[0].strip(",")
        same = [row for row in measured if row["workload"].split()[0].strip(",") == word]
        assert same, label
        for peer, cell in zip(peers, cells, strict=True):
            times = [row["medians"] for row in same]
            ratios = [found[peer] / found["dualflow"] for found in times if peer in found]
            told = [float(figure) for figure in cell.split(" to ")] if cell else []
            wanted = [min(ratios), max(ratios)] if ratios else []
            assert told == pytest.approx(wanted, rel=0.06, abs=0.05), (label, peer)


def test_the_operations_whose_cost_is_measured_are_as_many_as_told():
    sys.path.insert(0, str(ROOT))
    overhead = importlib.import_module("benchmarks.overhead")
    (told,) = re.findall(r"has more than\s+(\d+) of them", README)
    assert sum(map(len, overhead.TABLE.values())) > int(told)


@pytest.mark.parametrize("folder", ["tutorials", "benchmarks", "dualflow"])
def test_python_files_parse_without_warnings(folder):
    files = list((ROOT / folder).rglob("*.py"))
    assert files
    for file in files:
        ast.parse(file.read_text(), str(file))

"""Run the Array API's test suite from a checkout of it, against dualflow, eager or compiled.

    python tests/run_array_api.py PATH [--compiled] [--max-examples 200] [pytest arguments]

PATH is a checkout of data-apis/array-api-tests with data-apis/array-api in its `array-api` folder,
whose requirements are installed. What cannot pass stands in `xfails/array_api.txt`, with reasons.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
VERSION = "2024.12"
SUITE = "array_api_tests"  # the suite's folder of tests


def xfails() -> list[str]:
    """The tests that are known to fail: each line is `test # reason`."""
    lines = (HERE / "xfails" / "array_api.txt").read_text().splitlines()
    tests = [line.partition(" # ") for line in lines if line and not line.startswith("#")]
    for test, _, reason in tests:
        assert reason, f"no reason for {test}"
    return [test for test, _, _ in tests]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("path", type=Path, help="the checkout of array-api-tests")
    parser.add_argument("--compiled", action="store_true", help="compile every function")
    parser.add_argument("--max-examples", type=int, default=200)
    given, rest = parser.parse_known_args()
    environment = os.environ | {
        "ARRAY_API_TESTS_MODULE": "array_api_compiled" if given.compiled else "dualflow",
        "ARRAY_API_TESTS_VERSION": VERSION,
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)]),
    }
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listed:
        listed.write("\n".join(xfails()))
        listed.flush()
        command = [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--disable-warnings",
            "--disable-deadline", "--max-examples", str(given.max_examples),
            "--xfails-file", listed.name,
            *(["array_api_tests"] if not any(SUITE in word for word in rest) else []), *rest,
        ]  # fmt: skip
        return subprocess.run(command, cwd=given.path, env=environment, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())

"""For every test: settings under which no failure of the compiler is hidden, and a fixed seed."""

from __future__ import annotations

import getpass
import os
import tempfile
from collections.abc import Iterator

# Kernels of tests are kept between runs, away from the user's own; read when dualflow is imported.
_KERNELS = os.path.join(tempfile.gettempdir(), f"dualflow-tests-{getpass.getuser()}")
os.environ.setdefault("DUALFLOW_CACHE", _KERNELS)
# Workers of pytest-xdist share the processors; BLAS threads of each would only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest  # noqa: E402

import dualflow as df  # noqa: E402
from dualflow import pipeline  # noqa: E402
from dualflow.capture import trials  # noqa: E402
from dualflow.capture.coexecution import segments  # noqa: E402

trials.READY = 1  # replays become native calls at once, so that tests of few calls see them
pipeline.KEEPS = False  # tests that patch the compiler make plans that nobody else may find


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden texts instead of comparing"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Slow tests run only where they are asked for: `-m slow`."""
    if "slow" in config.option.markexpr:
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: run with -m slow"))


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden texts are to be written anew."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(autouse=True)
def strict_settings() -> Iterator[None]:
    """A compiler that fails must fail the test; random numbers start from one seed."""
    df.random.seed(0)
    with df.config(on_compiler_error="raise"):
        yield


class NeverDone:
    """A compilation that is still under way."""

    done = False


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs never get ready: segments run by the eager mode, bit for bit as eager does."""
    monkeypatch.setattr(pipeline, "compile_graph", lambda graph, layouts, behind: NeverDone())
    monkeypatch.setattr(segments, "_compilations", {})

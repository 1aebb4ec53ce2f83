"""Figures kept: in benchmarks/results/, under the day and the machine, beside its load."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import date
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def machine() -> str:
    """The machine in words: processor, Python."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [li for li in info.read_text().splitlines() if li.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    return f"{model}, Python {platform.python_version()}"


def save(figures: dict[str, Any], of: str = "") -> None:
    """Write the figures to a file, in a folder `of` what they are of."""
    folder = RESULTS / of
    folder.mkdir(exist_ok=True)
    name = "".join(c if c.isalnum() else "-" for c in machine().lower()).strip("-")
    content = {"machine": machine(), "load": os.getloadavg()[0], **figures}
    target = folder / f"{date.today()}-{name}.json"
    target.write_text(json.dumps(content, indent=1) + "\n")
    print(f"saved {target}", file=sys.stderr)


def newest() -> dict[str, Any]:
    """The results that were kept last."""
    return json.loads(max(RESULTS.glob("*.json"), key=lambda file: file.name).read_text())

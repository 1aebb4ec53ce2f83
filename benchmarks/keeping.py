"""Figures kept: in benchmarks/results/, under the day, what they are of, and the machine."""

from __future__ import annotations

import json
import platform
import sys
from datetime import date
from pathlib import Path


def machine() -> str:
    """The machine in words: processor, Python."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [li for li in info.read_text().splitlines() if li.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    return f"{model}, Python {platform.python_version()}"


def save(rows: list[dict[str, object]], facts: dict[str, float], of: str = "") -> None:
    """Write the figures to a file; `of`: what they are of."""
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    name = "".join(c if c.isalnum() else "-" for c in machine().lower()).strip("-")
    content = {"machine": machine(), "threads": 1, "rows": rows, "facts": facts}
    target = folder / f"{date.today()}-{of}{name}.json"
    target.write_text(json.dumps(content, indent=1) + "\n")
    print(f"saved {target}", file=sys.stderr)

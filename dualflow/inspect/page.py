"""A Comparison as one self-contained HTML page.

Comes in: a `Comparison`. Goes out: text of a page that loads nothing from elsewhere.
"""

from __future__ import annotations

from html import escape

from .compare import Comparison
from .show import output_rows, rows, seconds

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
       color: #1d2330; background: #fbfbfd }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid #dfe3ec;
         vertical-align: top; overflow-wrap: anywhere }
.bar { box-sizing: border-box; height: 1.4rem; border-radius: 3px; color: #fff;
       padding: 0 .5rem; white-space: nowrap }
.eager { background: #8a94a6 } .compiled { background: #2563eb }
@media (prefers-color-scheme: dark) { body { background: #14171f; color: #e6e9f0 }
  th, td { border-color: #2d3342 } }
"""


def page(found: Comparison) -> str:
    """The whole page."""
    title = escape(f"{found.name}: eager and compiled")
    figures = "".join(
        f"<tr><th scope='row'>{escape(label)}</th><td>{escape(text)}</td></tr>"
        for label, text in rows(found)
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>
<body><h1>{title}</h1>
{_bars(found)}
<table>{figures}</table>
{_outputs(found)}
</body></html>
"""


def _bars(found: Comparison) -> str:
    longest = max(found.eager.median, found.compiled.median)
    bars = []
    for name, timing in (("eager", found.eager), ("compiled", found.compiled)):
        width = max(12.0, 100 * timing.median / longest)
        label = f"{name} {seconds(timing.median)}"
        bars.append(f"<p class='bar {name}' style='width:{width:.1f}%'>{escape(label)}</p>")
    return "".join(bars)


def _outputs(found: Comparison) -> str:
    if not found.outputs:
        return ""
    headings = ("output", "type", "ulp", "eager's error", "compiled's error")
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in output_rows(found, most=100)
    )
    return (
        "<h2>Outputs that differ most</h2><p>Errors are relative to a run in float64.</p>"
        f"<table><tr>{head}</tr>{body}</table>"
    )

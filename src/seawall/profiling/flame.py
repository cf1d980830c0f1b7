"""A flame graph as one HTML page (after Brendan Gregg's, root on top): works offline, loads nothing.

The page has one inline style and one inline script, both fixed, so that a Content-Security-Policy can allow exactly
these. Without the script it still shows the whole graph, with the numbers as tooltips.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from seawall.profiling.cpu import Profile
from seawall.profiling.stacks import Node, fold, origin, short_path, source_line

__all__ = ["SCRIPT", "STYLE", "flame_page"]

ROW = 20
MAX_BOXES = 10_000
"""Functions drawn; further ones are the narrowest."""
NARROWEST = 0.0005
"""Part of the whole below which a function is not drawn."""

_LEGEND = (
    ("own", "your code"),
    ("plan", "plan"),
    ("seawall", "Seawall"),
    ("installed", "installed"),
    ("python", "Python"),
)


def flame_page(profile: Profile, title: str) -> bytes:
    """Return *profile* as an HTML page in UTF-8.

    Args:
        profile: What was seen.
        title: What to call it.
    """
    tree = fold(profile.weighted(), "all threads")
    boxes = list(_boxes(tree))
    depth = 1 + max((row for _, row, _ in boxes), default=0)
    graph = "".join(_box(node, row, left, tree.total) for node, row, left in boxes)
    if tree.total:
        svg = f'<svg id="graph" role="img" aria-label="Flame graph" width="100%" height="{depth * ROW}">{graph}</svg>'
    else:
        svg = (
            "<p>Every thread waited for work whenever it was looked at: there is nothing to draw. Take the profile "
            "while the service has something to do.</p>"
        )
    legend = "".join(f'<span class="key {name}">{label}</span>' for name, label in _LEGEND)
    return _PAGE.format(
        title=escape(title),
        style=STYLE,
        script=SCRIPT,
        facts=escape(_facts(profile)),
        cost=escape(_cost(profile)),
        legend=legend,
        svg=svg,
        lines=_lines(profile),
    ).encode()


def _facts(profile: Profile) -> str:
    dropped = f", {profile.dropped} dropped" if profile.dropped else ""
    return (
        f"Process {profile.pid}: {profile.busy} samples of busy threads and {profile.idle} of idle ones{dropped}, in "
        f"{profile.seconds:.1f} s at {profile.ticks / profile.seconds if profile.seconds else 0:.0f} looks a second. "
        f"The process used {profile.cpu:.2f} s of processor time."
    )


def _cost(profile: Profile) -> str:
    return (
        f"Looking took {profile.cost * 1000:.0f} ms, at most {profile.share:.1%} of the time; threads gave way to each "
        "other more often meanwhile."
    )


def _boxes(tree: Node) -> Iterator[tuple[Node, int, float]]:
    """Yield what is drawn: the function, its row, and where it begins, in samples; the upper rows first."""
    level: list[tuple[Node, float]] = [(tree, 0.0)]
    row = drawn = 0
    while level and tree.total:
        below: list[tuple[Node, float]] = []
        for node, start in level:
            if drawn >= MAX_BOXES:
                return
            drawn += 1
            yield node, row, start
            left = start
            for child in sorted(node.children.values(), key=lambda each: (each.place.name, each.place.file)):
                if child.total / tree.total >= NARROWEST:
                    below.append((child, left))
                left += child.total
        level, row = below, row + 1


def _box(node: Node, row: int, start: float, total: float) -> str:
    place, share = node.place, node.total / total
    where = f" ({short_path(place.file)}:{place.line})" if place.file else ""
    told = f"{place.name}{where}: {node.total:.0f} samples, {share:.1%}; itself {node.own / total:.1%}"
    left, width = f"{start / total * 100:.4f}%", f"{share * 100:.4f}%"
    kind = origin(place.file) if place.file else "thread"
    return (
        f'<svg class="box {kind}" x="{left}" y="{row * ROW}" width="{width}" height="{ROW - 1}" tabindex="0">'
        f'<title>{escape(told)}</title><rect width="100%" height="100%" rx="2"/>'
        f'<text x="4" y="14">{escape(place.name)}</text></svg>'
    )


def _lines(profile: Profile) -> str:
    rows = "".join(
        f"<tr><td>{count / profile.busy:.1%}</td><td><code>{escape(short_path(place.file))}:{place.line}</code></td>"
        f"<td><code>{escape(source_line(place) or place.name)}</code></td></tr>"
        for place, count in profile.lines
    )
    return f"<h2>Lines that stood innermost</h2><table>{rows}</table>" if rows else ""


STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1c2430;--soft:#5b6675;--line:#dfe4ea;--own:#f6b26b;--plan:#cdb4e8;
--seawall:#9fd3d6;--installed:#b7cdf1;--python:#c9ddb0;--thread:#e3e7ec;--box:#1c2430}
@media (prefers-color-scheme:dark){:root{--bg:#12161c;--fg:#dde3ea;--soft:#93a0b0;--line:#2b333e}}
*{box-sizing:border-box}
body{margin:0;padding:1.25rem 1.5rem 3rem;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.3rem;margin:0}h2{font-size:1rem;margin:1.75rem 0 .4rem}
p{margin:.3rem 0;color:var(--soft);max-width:80rem}
a{color:inherit}
.bar{display:flex;flex-wrap:wrap;gap:.6rem;align-items:center;margin:.9rem 0}
.key{padding:.05rem .55rem;border-radius:4px;color:var(--box);font-size:.85rem}
.own{background:var(--own);fill:var(--own)}.plan{background:var(--plan);fill:var(--plan)}
.seawall{background:var(--seawall);fill:var(--seawall)}.installed{background:var(--installed);fill:var(--installed)}
.python{background:var(--python);fill:var(--python)}.thread{fill:var(--thread)}
svg.box{background:none;cursor:pointer;outline-offset:-2px}
.box text{font:12px ui-monospace,monospace;fill:var(--box);pointer-events:none}
.box:hover rect,.box:focus rect{stroke:var(--fg);stroke-width:1.5}
.box.above{opacity:.55}.box.miss{opacity:.25}
input,button{font:inherit;padding:.2rem .5rem;border:1px solid var(--line);border-radius:5px;background:none;
color:inherit}
#told{min-height:1.5em;overflow-wrap:anywhere}
table{border-collapse:collapse;font-size:.9rem}td{padding:.15rem .9rem .15rem 0;vertical-align:top}
td:first-child{text-align:right}code{font:13px ui-monospace,monospace;overflow-wrap:anywhere}
"""

SCRIPT = """
"use strict";
const graph = document.getElementById("graph");
if (graph) {
  const boxes = Array.from(graph.querySelectorAll("svg.box"), (node) => ({
    node, left: parseFloat(node.getAttribute("x")), width: parseFloat(node.getAttribute("width")),
    row: parseFloat(node.getAttribute("y")), told: node.querySelector("title").textContent,
  }));
  const told = document.getElementById("told"), search = document.getElementById("search");
  const reset = document.getElementById("reset"), slack = 0.001;
  function zoom(to) {
    const end = to.left + to.width;
    for (const box of boxes) {
      const around = box.row < to.row && box.left <= to.left + slack && box.left + box.width >= end - slack;
      const within = box.row >= to.row && box.left >= to.left - slack && box.left + box.width <= end + slack;
      box.node.setAttribute("display", around || within ? "inline" : "none");
      box.node.classList.toggle("above", around);
      box.node.setAttribute("x", around ? "0%" : (box.left - to.left) / to.width * 100 + "%");
      box.node.setAttribute("width", around ? "100%" : box.width / to.width * 100 + "%");
    }
    reset.disabled = to === boxes[0];
  }
  for (const box of boxes) {
    box.node.addEventListener("click", () => zoom(box));
    box.node.addEventListener("keydown", (event) => { if (event.key === "Enter") zoom(box); });
    box.node.addEventListener("mouseenter", () => { told.textContent = box.told; });
    box.node.addEventListener("focus", () => { told.textContent = box.told; });
  }
  reset.addEventListener("click", () => zoom(boxes[0]));
  search.addEventListener("input", () => {
    const wanted = search.value.toLowerCase();
    for (const box of boxes) {
      box.node.classList.toggle("miss", wanted !== "" && !box.told.toLowerCase().includes(wanted));
    }
  });
  document.getElementById("controls").hidden = false;
}
"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>{title}</title><style>{style}</style></head>
<body><h1>{title}</h1>
<p>{facts} {cost}</p>
<p>Width is the part of the samples in which a function stood on the stack; what it called is below it. The event
loop is seen computing or blocked, other threads as often as they compute. Waiting for work is left out.</p>
<div class="bar">{legend}<span id="controls" hidden><label>Find <input id="search" type="search"></label>
<button id="reset" type="button" disabled>Whole graph</button></span></div>
<p id="told" aria-live="polite">Click a function to enlarge it.</p>
{svg}
{lines}
<script>{script}</script></body></html>
"""

"""The page that lists what there is to see."""

from __future__ import annotations

import os
from html import escape

__all__ = ["ENTRIES", "STYLE", "index_page"]

ENTRIES: tuple[tuple[str, str, str, tuple[tuple[str, str], ...]], ...] = (
    (
        "CPU profile",
        "Where threads stand, looked at 100 times a second for some seconds.",
        "A few per cent of one processor while it is taken; 60 s, 250 looks a second and one at a time at the most.",
        (
            ("flame graph, 5 s", "cpu?seconds=5"),
            ("30 s", "cpu?seconds=30"),
            ("speedscope file, 10 s", "cpu?seconds=10&format=speedscope"),
        ),
    ),
    (
        "Tasks",
        "What every task does, for which call, since when, and who awaits whom.",
        "Some milliseconds on the event loop, in pieces; 1,000 tasks at the most.",
        (("text", "tasks"), ("JSON", "tasks?format=json")),
    ),
    (
        "Stalls",
        "When the event loop did not run, with the line that blocked it.",
        "Watched all the time: one timer and one thread, some 40 wake-ups a second.",
        (("text", "stalls"), ("JSON", "stalls?format=json")),
    ),
    (
        "Locks",
        "Locks, semaphores and pools of database connections, and tasks that wait for each other.",
        "Reads the list of all objects once, beside the event loop; the interpreter is held for parts of it.",
        (("text", "locks"), ("JSON", "locks?format=json")),
    ),
    (
        "Breakers",
        "How every breaker stands; POST to breakers/{name}/open, closed or auto switches one in this process.",
        "Nothing to speak of.",
        (("text", "breakers"), ("JSON", "breakers?format=json")),
    ),
    (
        "Memory",
        "What is taken and kept, by line, and what grows: two snapshots and their difference.",
        "Every allocation is several times slower meanwhile; 60 s and 64 MiB for tracing at the most.",
        (
            ("10 s", "memory?seconds=10"),
            ("with 5 frames", "memory?seconds=10&frames=5"),
            ("JSON", "memory?format=json"),
        ),
    ),
    (
        "Snapshots of the heap",
        "What grows over hours: snapshots that are kept, and the difference of any two.",
        "Until they are dropped every allocation is several times slower; 8 snapshots, 64 MiB for tracing at the most.",
        (("those that are kept", "heap"), ("difference of the last two", "heap/difference")),
    ),
    (
        "Objects",
        "How many objects there are of each type.",
        "Tens of milliseconds for a million objects, beside the event loop.",
        (("text", "objects"), ("JSON", "objects?format=json")),
    ),
)
"""Title, what it tells, what it costs, and links with their labels."""

STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1c2430;--soft:#5b6675;--line:#dfe4ea;--link:#0b57a4}
@media (prefers-color-scheme:dark){:root{--bg:#12161c;--fg:#dde3ea;--soft:#93a0b0;--line:#2b333e;--link:#8ab8ee}}
body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}
main{max-width:56rem;margin:0 auto;padding:2rem 1.25rem 4rem}
h1{font-size:1.4rem;margin:0 0 .25rem}h2{font-size:1.05rem;margin:0}
section{border-top:1px solid var(--line);padding:1rem 0}
p{margin:.2rem 0}.cost{color:var(--soft);font-size:.9rem}
a{color:var(--link);margin-right:1.1rem}
"""


def index_page(name: str) -> bytes:
    """Return the page as HTML in UTF-8.

    Args:
        name: The service's name.
    """
    sections = "".join(
        f"<section><h2>{escape(title)}</h2><p>{escape(told)}</p><p class=cost>{escape(cost)}</p><p>"
        + "".join(f'<a href="/debug/{escape(path)}">{escape(label)}</a>' for label, path in links)
        + "</p></section>"
        for title, told, cost, links in ENTRIES
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{escape(name)} · debug</title><style>{STYLE}</style></head><body><main>"
        f"<h1>{escape(name)}</h1><p>What process {os.getpid()} does, holds and waits for. Where several workers serve, "
        f"each answer is about the one that gave it.</p>{sections}</main></body></html>\n"
    ).encode()

"""What a developer sees of an unexpected error: a page for browsers, lines for everything else.

Neither shows the values of variables: what a request carries does not belong on a screen that is shared,
photographed and pasted.
"""

from __future__ import annotations

import linecache
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from types import TracebackType

__all__ = ["traceback_lines", "traceback_page"]

CONTEXT = 5
"""Lines of source shown on each side of the one that failed."""
MAX_FRAMES = 60
"""Frames shown of one exception; endless recursion has thousands that say the same."""
MAX_ERRORS = 20
"""Exceptions shown of a chain or a group."""
MAX_MESSAGE = 4_000
"""Characters shown of a message."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """One place in the stack: *columns* are where in the line the failed expression stands."""

    filename: str
    line: int
    function: str
    columns: tuple[int, int] | None

    @property
    def generated(self) -> bool:
        """Whether the code was generated for a plan."""
        return self.filename.startswith("<seawall")

    @property
    def own(self) -> bool:
        """Whether it is the user's code: neither generated nor installed nor Seawall's."""
        if self.filename.startswith("<"):
            return False
        path = Path(self.filename).resolve()
        return not any(path.is_relative_to(root) for root in _foreign_roots())

    @property
    def place(self) -> str:
        """The file, as short as it stays clear."""
        path = Path(self.filename)
        if path.is_absolute() and path.is_relative_to(Path.cwd()):
            return str(path.relative_to(Path.cwd()))
        parts = path.parts
        if "site-packages" in parts:
            return "/".join(parts[parts.index("site-packages") + 1 :])
        library = Path(sysconfig.get_path("stdlib"))
        return str(path.relative_to(library)) if path.is_relative_to(library) else self.filename


def traceback_lines(error: BaseException) -> list[str]:
    """Return the traceback of *error* as lines of text, the way Python prints it, recursion cut short."""
    shown = traceback.TracebackException.from_exception(error, limit=-MAX_FRAMES, max_group_width=MAX_ERRORS)
    return [line for block in shown.format() for line in block.rstrip("\n").split("\n")]


def traceback_page(error: BaseException, request_line: str) -> bytes:
    """Return an HTML page about *error*: the user's own frames first, everything else folded.

    Args:
        error: What was raised.
        request_line: What was asked for, such as ``GET /orders/7``.
    """
    kind, message = _kind(error), _message(error)
    sections = "".join(_section(each, relation) for each, relation in _related(error))
    plain = "\n".join(traceback_lines(error))
    return _PAGE.format(
        title=escape(f"{kind}: {message[:100]}"),
        request=escape(request_line),
        kind=escape(kind),
        message=escape(message) or "<i>no message</i>",
        sections=sections,
        plain=escape(plain),
        python=escape(sys.version.split()[0]),
        style=_STYLE,
    ).encode()


def _kind(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001 - whatever a user's __str__ raises must not hide the error
        text = f"(its message cannot be shown: {type(broken).__name__})"
    notes = getattr(error, "__notes__", ())
    return "\n".join([text, *(note for note in notes if isinstance(note, str))])[:MAX_MESSAGE]


def _related(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    """Yield *error* and what led to it, each with how it is related to the one before."""
    seen: set[int] = set()
    pending: list[tuple[BaseException, str]] = [(error, "")]
    while pending and len(seen) < MAX_ERRORS:
        each, relation = pending.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each, relation
        if each.__cause__ is not None:
            pending.append((each.__cause__, "Caused by"))
        elif each.__context__ is not None and not each.__suppress_context__:
            pending.append((each.__context__, "While handling"))
        if isinstance(each, BaseExceptionGroup):
            pending.extend((part, "Part of the group") for part in reversed(each.exceptions))


def _frames(tb: TracebackType | None) -> list[_Frame]:
    """Return the innermost frames of *tb*, outermost first."""
    frames: list[_Frame] = []
    for summary in traceback.extract_tb(tb, limit=-MAX_FRAMES):
        line = summary.lineno or 0
        columns = None
        if summary.colno is not None and summary.end_colno is not None and summary.end_lineno == line:
            columns = (summary.colno, summary.end_colno)
        frames.append(_Frame(summary.filename, line, summary.name, columns))
    return frames


def _foreign_roots() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    installed = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return (Path(__file__).resolve().parent, *(Path(path).resolve() for path in sorted(installed)))


def _section(error: BaseException, relation: str) -> str:
    frames = _frames(error.__traceback__)
    own = [frame for frame in reversed(frames) if frame.own]
    head = ""
    if relation:
        head = f"<h2><small>{relation}</small> {escape(_kind(error))}</h2>"
        head += f"<pre class=message>{escape(_message(error))}</pre>"
    shown = "".join(_block(frame, is_open=index == 0) for index, frame in enumerate(own))
    if not frames:
        return f"<section>{head}</section>"
    folded = _folded(frames, is_open=not own)
    return f"<section>{head}{'<h3>Your code, innermost first</h3>' if own else ''}{shown}{folded}</section>"


def _folded(frames: Sequence[_Frame], *, is_open: bool) -> str:
    count = f"{len(frames)} frame{'' if len(frames) == 1 else 's'}"
    blocks = "".join(_block(frame, is_open=False) for frame in frames)
    opened = " open" if is_open else ""
    return f"<details class=all{opened}><summary>Whole stack, outermost first ({count})</summary>{blocks}</details>"


def _block(frame: _Frame, *, is_open: bool) -> str:
    label = "plan" if frame.generated else "yours" if frame.own else ""
    badge = f"<span class=badge>{label}</span>" if label else ""
    opened = " open" if is_open else ""
    return (
        f"<details class=frame{opened}><summary><code>{escape(frame.function)}</code> "
        f"<span class=place>{escape(frame.place)}:{frame.line}</span>{badge}</summary>{_source(frame)}</details>"
    )


def _source(frame: _Frame) -> str:
    lines = linecache.getlines(frame.filename)
    if not 0 < frame.line <= len(lines):
        return "<pre class=source>(no source)</pre>"
    first = max(1, frame.line - CONTEXT)
    rows = []
    for number in range(first, min(len(lines), frame.line + CONTEXT) + 1):
        text = lines[number - 1].rstrip("\n")
        if number == frame.line:
            rows.append(f"<b class=hit><i>{number}</i>{_marked(text, frame.columns)}\n</b>")
        else:
            rows.append(f"<span><i>{number}</i>{escape(text)}\n</span>")
    return f"<pre class=source>{''.join(rows)}</pre>"


def _marked(text: str, columns: tuple[int, int] | None) -> str:
    if columns is None:
        return escape(text)
    # The interpreter counts in bytes of UTF-8.
    raw = text.encode()
    before, hit, after = raw[: columns[0]], raw[columns[0] : columns[1]], raw[columns[1] :]
    if not hit:
        return escape(text)
    parts = [escape(part.decode(errors="replace")) for part in (before, hit, after)]
    return f"{parts[0]}<mark>{parts[1]}</mark>{parts[2]}"


_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1c2430;--soft:#5b6675;--line:#dfe4ea;--card:#f6f8fa;--red:#b42318;
--hit:#fdecea;--mark:#f9c6c0;--tag:#e4ebf5}
@media (prefers-color-scheme:dark){:root{--bg:#12161c;--fg:#dde3ea;--soft:#93a0b0;--line:#2b333e;--card:#1a2029;
--red:#ff8a7a;--hit:#3a2020;--mark:#7a2f28;--tag:#28344a}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif}
main{max-width:72rem;margin:0 auto;padding:2rem 1.25rem 4rem}
.request{font-family:ui-monospace,monospace;color:var(--soft);overflow-wrap:anywhere}
h1{font-size:1.35rem;margin:.25rem 0;color:var(--red);overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:2rem 0 .25rem;color:var(--red);overflow-wrap:anywhere}
h2 small{color:var(--soft);font-weight:normal;margin-right:.4rem}
h3{font-size:.95rem;margin:1.5rem 0 .5rem;color:var(--soft);font-weight:600}
pre{margin:0;font:13px/1.55 ui-monospace,monospace}
.message{white-space:pre-wrap;overflow-wrap:anywhere;font-size:15px}
details.frame{border:1px solid var(--line);border-radius:6px;margin:.4rem 0;overflow:hidden}
summary{cursor:pointer;padding:.45rem .75rem;background:var(--card)}
summary:focus-visible{outline:2px solid var(--red);outline-offset:-2px}
.all{margin-top:1rem}.all>summary{background:none;padding-left:0;color:var(--soft)}
.place{color:var(--soft);margin-left:.6rem;overflow-wrap:anywhere}
.badge{float:right;background:var(--tag);border-radius:4px;padding:0 .45rem;font-size:.8rem}
.source{overflow-x:auto;padding:.5rem 0}
.source>*{display:block;padding:0 .75rem;font-weight:normal;width:max-content;min-width:100%}
.source i{display:inline-block;width:3.2rem;color:var(--soft);font-style:normal;user-select:none}
.hit{background:var(--hit)}mark{background:var(--mark);color:inherit;border-radius:2px}
.plain pre{overflow-x:auto;padding:.75rem;background:var(--card);border:1px solid var(--line);border-radius:6px}
footer{margin-top:2rem;color:var(--soft);font-size:.9rem}
"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>{title}</title><style>{style}</style></head>
<body><main>
<div class="request">{request}</div>
<h1>{kind}</h1>
<pre class="message">{message}</pre>
{sections}
<details class="all plain"><summary>As plain text, to copy</summary><pre>{plain}</pre></details>
<footer>Shown because the environment is <b>development</b>; in production the caller sees a problem that says
nothing of this. Python {python}.</footer>
</main></body></html>
"""

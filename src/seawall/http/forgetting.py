"""What a change makes of kept answers: those of its path, and of what it names, are forgotten (RFC 9111 §4.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from urllib.parse import unquote, urljoin, urlsplit

from seawall.http.response_cache import Responses
from seawall.http.route import Template
from seawall.plan import Place, Writer

__all__ = ["Forgetting", "overlap"]

_ELSEWHERE = frozenset({b"location", b"content-location"})


class Forgetting:
    """The fragment of an unsafe method of a service that keeps answers.

    Args:
        responses: Where they are kept.
        own: Whether answers of its own path can be among them; if not, only those it names in its answer are forgotten.
        responds: Whether the operation may answer with a response of its own, which then says what has happened.
    """

    name = "cache"
    place = Place.CACHE

    def __init__(self, responses: Responses, *, own: bool, responds: bool) -> None:
        self._responses = responses
        self._own = own
        self._responds = responds
        self.note = "forgets the answers of its path" if own else "forgets the answers of what it names"

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the line after a success."""
        inner()
        forget = writer.bind("cache_forget", self._responses.forget)
        named = writer.bind("named_paths", named_paths)
        status, fields = "status", "call.fields"
        if self._responds:
            writer.lines("outcome, told = status, call.fields")
            with writer.block("if body is None:"):
                writer.line("outcome, told = response.status_code, [*(told or ()), *response.raw_headers]")
            status, fields = "outcome", "told"
        with writer.block(f"if {status} < 400:"):
            if self._own:
                writer.line(f"await {forget}([path, *{named}({fields}, headers, path, scheme)])")
            else:
                writer.line(f"changed = {named}({fields}, headers, path, scheme)")
                with writer.block("if changed:"):
                    writer.line(f"await {forget}(changed)")


def named_paths(
    fields: Iterable[tuple[bytes, bytes]] | None, headers: Mapping[bytes, bytes], path: str, scheme: str
) -> list[str]:
    """Return the paths that ``Location`` and ``Content-Location`` name, but *path* and those of other origins."""
    found: list[str] = []
    for name, value in fields or ():
        if name not in _ELSEWHERE:
            continue
        origin = f"{scheme}://{headers.get(b'host', b'').decode('latin-1')}"
        try:
            here, there = urlsplit(origin), urlsplit(urljoin(origin + path, value.decode("latin-1")))
            same = (there.scheme, there.hostname, there.port) == (here.scheme, here.hostname, here.port)
        except ValueError:  # a URL that is none
            continue
        other = unquote(there.path) or "/"
        if same and other != path and other not in found:
            found.append(other)
    return found


def overlap(one: Template, other: Template) -> bool:
    """Return whether a path can be one of both templates."""
    for mine, theirs in zip(one.segments, other.segments, strict=False):
        if mine is not None and theirs is not None and mine != theirs:
            return False
    here, there = len(one.segments), len(other.segments)
    return here == there or (one.tail and there > here) or (other.tail and here > there)

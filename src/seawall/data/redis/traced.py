"""Clients that make a span of each command in calls that are recorded, and are the driver's own in all others.

By OpenTelemetry's semantic conventions for Redis. Of a command its name is told, of its arguments only how many there
are: keys hold what identifies people and sessions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.client import Pipeline
from redis.asyncio.cluster import ClusterPipeline
from redis.exceptions import ResponseError

from seawall.spans import Recorder, Span, Value, recorder

__all__ = ["TracedCluster", "TracedRedis"]

_MOST_ARGUMENTS = 20
_SCRIPTS = frozenset({"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"})


class TracedRedis(Redis):
    """A client of one server, or of the master that sentinels name."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command."""
        spans = recorder()
        if spans is None:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        return _ended(_begin(spans, args, _place(self.connection_pool)), super().execute_command, args, options)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:  # noqa: FBT001, FBT002
        """Return a pipeline, whose commands are one span."""
        return _TracedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001
        """Close every connection, those to sentinels among them, which the driver leaves open."""
        await super().aclose(close_connection_pool)
        manager = getattr(self.connection_pool, "sentinel_manager", None)
        for sentinel in manager.sentinels if manager is not None else ():
            await sentinel.aclose()


class _TracedPipeline(Pipeline):
    def execute(self, raise_on_error: bool = True) -> Any:  # noqa: FBT001, FBT002 - the driver's own signature
        spans = recorder()
        if spans is None or not self.command_stack:
            return super().execute(raise_on_error)
        whole = self.is_transaction or self.explicit_transaction
        names = [str(command[0][0]) for command in self.command_stack]
        span = _begin_many(spans, "MULTI" if whole else "PIPELINE", names, _place(self.connection_pool))
        return _ended(span, super().execute, (raise_on_error,), {})

    def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command at once, as between WATCH and MULTI."""
        spans = recorder()
        if spans is None:
            return super().immediate_execute_command(*args, **options)  # type: ignore[no-untyped-call]
        span = _begin(spans, args, _place(self.connection_pool))
        return _ended(span, super().immediate_execute_command, args, options)


class TracedCluster(RedisCluster):
    """A client of a cluster; a span is one command, however many nodes it took to find the right one."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command to the node that has its keys."""
        spans = recorder()
        if spans is None:
            return super().execute_command(*args, **options)
        return _ended(_begin(spans, args, {}), super().execute_command, args, options)

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> ClusterPipeline:
        """Return a pipeline, whose commands are one span."""
        if shard_hint:
            return super().pipeline(transaction, shard_hint)  # which refuses
        return _TracedClusterPipeline(self, transaction)  # type: ignore[abstract]  # as the driver's own is, to mypy


class _TracedClusterPipeline(ClusterPipeline):
    def execute(self, raise_on_error: bool = True, allow_redirections: bool = True) -> Any:  # noqa: FBT001, FBT002
        spans = recorder()
        if spans is None or not len(self):
            return super().execute(raise_on_error, allow_redirections)
        span = _begin_many(spans, "MULTI" if self._transaction else "PIPELINE", [""] * len(self), {})
        return _ended(span, super().execute, (raise_on_error, allow_redirections), {})


def _begin(spans: Recorder, args: Sequence[Any], place: Mapping[str, Value]) -> Span:
    name = str(args[0])
    arguments = args[1:]
    shown = [name, *("?" for _ in arguments[:_MOST_ARGUMENTS]), *(["…"] if len(arguments) > _MOST_ARGUMENTS else [])]
    attributes: dict[str, Value] = {
        "db.system.name": "redis",
        "db.operation.name": name,
        "db.query.text": " ".join(shown),
        **place,
    }
    if name in _SCRIPTS and arguments and name != "EVAL":
        attributes["db.stored_procedure.name"] = str(arguments[0])
    return spans.client(name, attributes)


def _begin_many(spans: Recorder, kind: str, names: Sequence[str], place: Mapping[str, Value]) -> Span:
    alike = names[0] if len(set(names)) == 1 else ""
    name = f"{kind} {alike}".strip()
    attributes = {"db.system.name": "redis", "db.operation.name": name, "db.operation.batch.size": len(names), **place}
    return spans.client(name, attributes)


async def _ended(
    span: Span, run: Callable[..., Awaitable[Any]], args: Sequence[Any], options: Mapping[str, Any]
) -> Any:
    try:
        answer = await run(*args, **options)
    except BaseException as error:
        # The first word of what the server says is what it calls the error: WRONGTYPE, NOSCRIPT.
        code = getattr(error, "status_code", None) or (str(error).partition(" ")[0] if _is_said(error) else "")
        if code:
            span.set("db.response.status_code", code)
        span.end(error, code)
        raise
    span.end()
    return answer


def _is_said(error: BaseException) -> bool:
    return isinstance(error, ResponseError) and str(error).partition(" ")[0].isupper()


def _place(pool: Any) -> Mapping[str, Value]:
    """Return where the server is: as the URL says, or as the sentinels have answered last."""
    known = pool.connection_kwargs
    address = getattr(pool, "master_address", None) or (known.get("host"), known.get("port"))
    place: dict[str, Value] = {"db.namespace": str(known.get("db") or 0)}
    if address[0]:
        place["server.address"] = str(address[0])
    elif "path" in known:
        place["server.address"] = str(known["path"])
    if address[1]:
        place["server.port"] = int(address[1])
    return place

"""Seawall's own settings, one class per capability."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from seawall.settings.table import Reloadable, Seconds, Size, Table, WholeSeconds

__all__ = ["HttpSettings", "LogSettings", "ServerSettings", "ServiceSettings"]

_DAY = 86_400
_TEBIBYTE = 1024**4
# A serialised origin (HTML standard, "origin"): a scheme and an authority, and nothing after it.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\\\s,]+")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2


def _network(text: str) -> str:
    if text == "unix":
        return text
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ValueError(f'{error}; write "10.0.0.7", "10.0.0.0/8" or "unix"') from None


def _origin(text: str) -> str:
    if text != "*" and not _ORIGIN.fullmatch(text):
        raise ValueError(f'{text!r} is not an origin; write "https://shop.example.com", without path or final slash')
    return text


def _token(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise ValueError(f"{text!r} is not a name that HTTP knows (letters, digits and hyphens)")
    return text


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


Network = Annotated[str, AfterValidator(_network)]
Origin = Annotated[str, AfterValidator(_origin)]
Token = Annotated[str, AfterValidator(_token)]
Method = Annotated[str, AfterValidator(_token), AfterValidator(str.upper)]
Level = Annotated[Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_lower)]


class ServiceSettings(Table, table="service", env_prefix="SEAWALL_SERVICE_"):
    """What the service is."""

    environment: Literal["production", "development"] = Field(
        default="production", description="Development shows tracebacks to callers and writes readable logs."
    )
    docs: bool = Field(default=True, description="Whether the API's description and its reference page are served.")
    health: bool = Field(
        default=True, description="Whether `/health/live`, `/health/ready` and `/health/startup` are served."
    )
    health_detail: Literal["never", "loopback", "always"] = Field(
        default="loopback",
        description="Who is told which checks passed: nobody, callers on this machine, or everybody.",
    )


class HttpSettings(Table, table="http", env_prefix="SEAWALL_HTTP_"):
    """What is accepted and answered over HTTP. Every limit is finite."""

    timeout: Reloadable[Seconds] = Field(
        default=30.0,
        gt=0,
        le=_DAY,
        description="How long an operation may take, unless its policy says otherwise; then 504.",
    )
    body_timeout: Reloadable[Seconds] = Field(
        default=30.0, gt=0, le=_DAY, description="How long a request's body may take to arrive; then 408."
    )
    head_timeout: Seconds = Field(
        default=10.0, gt=0, le=_DAY, description="How long a request may take to arrive up to its body; then 408."
    )
    max_body: Reloadable[Size] = Field(
        default=1024**2,
        ge=0,
        le=_TEBIBYTE,
        description="Largest body, unless the operation's policy says otherwise; then 413.",
    )
    max_path_bytes: Reloadable[Size] = Field(
        default=4 * 1024, ge=1, le=1024**2, description="Longest path, as it was sent; then 414."
    )
    max_query_bytes: Reloadable[Size] = Field(
        default=8 * 1024, ge=0, le=1024**2, description="Longest query string; then 414."
    )
    max_query_fields: Reloadable[int] = Field(
        default=100, ge=0, le=100_000, description="Most fields in a query string; then 400."
    )
    max_header_count: Reloadable[int] = Field(default=100, ge=1, le=10_000, description="Most header fields; then 431.")
    max_header_bytes: Reloadable[Size] = Field(
        default=32 * 1024, ge=256, le=1024**2, description="All header fields together, names and values; then 431."
    )
    max_form_fields: Reloadable[int] = Field(
        default=100, ge=0, le=100_000, description="Most fields in a form that are not files; then 413."
    )
    max_form_files: Reloadable[int] = Field(default=10, ge=0, le=10_000, description="Most files in a form; then 413.")
    compress: bool = Field(default=True, description="Whether answers are compressed for clients that accept it.")
    compress_min_bytes: Size = Field(
        default=1024, ge=0, le=_TEBIBYTE, description="Smallest answer that is worth compressing."
    )
    trusted_proxies: tuple[Network, ...] = Field(
        default=(),
        description="Addresses and networks of proxies whose forwarding headers are believed; `unix` for those that "
        "connect by a Unix socket.",
    )
    trusted_hosts: tuple[str, ...] = Field(
        default=(),
        description="Host names the service answers for, such as `shop.example.com`, `*.example.com` or "
        "`localhost:8000`; others get 421. Empty means any host.",
    )
    cors_origins: tuple[Origin, ...] = Field(
        default=(),
        description="Origins whose pages may read answers; `*` for all. Empty means none but the service's own.",
    )
    cors_methods: tuple[Method, ...] = Field(
        default=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"), description="Methods those pages may use."
    )
    cors_headers: tuple[Token, ...] = Field(
        default=("Authorization", "Idempotency-Key", "X-Request-ID"),
        description="Header fields those pages may send, besides `Accept`, `Accept-Language`, `Content-Language` and "
        "`Content-Type`; `*` for any.",
    )
    cors_expose: tuple[Token, ...] = Field(default=(), description="Header fields of answers those pages may read.")
    cors_credentials: bool = Field(
        default=False,
        description="Whether those pages may act with the user's cookies; not together with the origin `*`.",
    )
    cors_max_age: WholeSeconds = Field(
        default=600, ge=0, le=_DAY, description="How long a browser may remember what it may do."
    )
    security_headers: bool = Field(
        default=True,
        description="Whether answers carry the header fields that make browsers careful with them.",
    )
    hsts_seconds: WholeSeconds = Field(
        default=0,
        ge=0,
        le=3 * 366 * _DAY,
        description="How long browsers shall reach this host by HTTPS only (RFC 6797); 0 sends no such header.",
    )

    @field_validator("cors_credentials")
    @classmethod
    def _not_for_everybody(cls, credentials: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - as pydantic calls it
        if credentials and "*" in info.data.get("cors_origins", ()):
            raise ValueError(
                'cors_origins is "*", so every page on the web could act with your users\' cookies; name the origins'
            )
        return credentials


class ServerSettings(Table, table="server", env_prefix="SEAWALL_SERVER_"):
    """Where the server listens and what it holds open."""

    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        max_length=255,
        description="Address to listen on; `0.0.0.0` or `::` for all.",
    )
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    uds: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Path of a Unix socket to listen on instead of host and port.",
    )
    backlog: int = Field(
        default=2048, ge=1, le=65535, description="Connections the system holds until the server accepts them."
    )
    carrier: Literal["wire", "asgi"] = Field(
        default="wire",
        description="What hands requests to plans: `wire`, the server's protocol class itself where a request is "
        "plain, or `asgi` for every request.",
    )
    keep_alive: Seconds = Field(default=5.0, ge=0, le=_DAY, description="How long an idle connection stays open.")
    max_connections: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Most open connections of one worker; then 503."
    )
    shutdown_seconds: Seconds = Field(
        default=30.0,
        ge=0,
        le=_DAY,
        description="How long stopping may take: 70 % of it for calls, up to 85 % for background tasks, the rest for "
        "resources.",
    )
    drain_grace: Seconds = Field(
        default=0.2,
        ge=0,
        le=_DAY,
        description="How long the server still accepts connections once it has begun to stop; behind a load balancer, "
        "longer than that takes to notice.",
    )


class LogSettings(Table, table="log", env_prefix="SEAWALL_LOG_"):
    """What is logged, and how."""

    level: Reloadable[Level] = Field(default="info", description="The least severe level that is written.")
    format: Literal["auto", "json", "console"] = Field(
        default="auto",
        description="One JSON object on a line, or readable text; auto writes text to a terminal only.",
    )
    access: bool = Field(default=True, description="Whether every call has a line of its own.")

"""Seawall's own settings, one class per capability."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator

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


def _token_or_none(text: str) -> str:
    return _token(text) if text else text


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
    write_timeout: Seconds = Field(
        default=30.0,
        gt=0,
        le=_DAY,
        description="How long a client may take hardly anything of an answer that waits for it (less than 256 bytes a "
        "second); then the connection is closed.",
    )
    timeout_header: Annotated[str, AfterValidator(_token_or_none)] = Field(
        default="Grpc-Timeout",
        description="Header field by which callers say how long they will wait, which shortens the time limit: in "
        "gRPC's form (`250m`), or in milliseconds where the name ends in `-Ms`, such as "
        "`X-Envoy-Expected-Rq-Timeout-Ms`. Empty means none.",
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
    uds_mode: str = Field(
        default="660",
        pattern=r"^0?[0-7]{3}$",
        description="Who may connect to the Unix socket: its permissions, in octal; `660` is the owner and the group.",
    )
    server: Literal["uvicorn", "granian"] = Field(
        default="uvicorn",
        description="What speaks HTTP: `uvicorn`, with everything Seawall adds to it, or `granian` (an extra), for "
        "HTTP/2.",
    )
    http2: bool = Field(default=True, description="Whether granian speaks HTTP/2 too; uvicorn does not.")
    tls_certificate: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="PEM file with the certificate, and those between it and the authority's; with it the server "
        "speaks https only.",
    )
    tls_key: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="PEM file with the certificate's key; by default the file of the certificate.",
    )
    tls_key_password: SecretStr | None = Field(
        default=None, max_length=1024, description="What the key is encrypted with."
    )
    tls_client_ca: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="PEM file with the authorities whose certificates clients show.",
    )
    tls_client: Literal["required", "optional"] = Field(
        default="required",
        description="Whether a client without a certificate is refused, where `tls_client_ca` is set.",
    )
    tls_minimum: Literal["1.2", "1.3"] = Field(default="1.2", description="The oldest version of TLS that is spoken.")
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
    workers: int = Field(
        default=1,
        ge=1,
        le=256,
        description="Processes that serve, best one for each core; with more than one, another one starts, watches and "
        "replaces them.",
    )
    worker_timeout: Seconds = Field(
        default=60.0,
        ge=0,
        le=_DAY,
        description="How long a worker's event loop may be blocked; then it is killed and replaced. 0 is for ever, "
        "otherwise it is at least 2 s.",
    )
    worker_start_timeout: Seconds = Field(
        default=300.0, gt=0, le=_DAY, description="How long a worker may take to start; then it is killed."
    )

    @field_validator("worker_timeout")
    @classmethod
    def _longer_than_a_heartbeat(cls, timeout: float) -> float:
        if 0 < timeout < 2:
            raise ValueError("a worker is heard of once a second; give it at least 2s, or 0 for no limit")
        return timeout

    @field_validator("tls_key", "tls_client_ca")
    @classmethod
    def _with_a_certificate(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and info.data.get("tls_certificate") is None:
            raise ValueError("tls_certificate is not set, so no TLS is spoken; set it too, or leave this out")
        return value


class LogSettings(Table, table="log", env_prefix="SEAWALL_LOG_"):
    """What is logged, and how."""

    level: Reloadable[Level] = Field(default="info", description="The least severe level that is written.")
    format: Literal["auto", "json", "console"] = Field(
        default="auto",
        description="One JSON object on a line, or readable text; auto writes text to a terminal only.",
    )
    access: bool = Field(default=True, description="Whether every call has a line of its own.")

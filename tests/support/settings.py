"""Settings for services under test: the defaults, and what a test changes, nothing from outside."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from seawall import Service

_HTTP = dict(
    timeout=30.0, max_body=2**20, max_header_count=100, max_header_bytes=32768, max_query_bytes=8192,
    max_query_fields=100, max_path_bytes=4096, max_form_fields=100, max_form_files=10, body_timeout=30.0,
    compress=True, compress_min_bytes=1024, trusted_proxies=(), trusted_hosts=(), cors_origins=(),
    cors_methods=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"), cors_headers=("Authorization",), cors_expose=(),
    cors_credentials=False, cors_max_age=600, security_headers=True, hsts_seconds=0,
)


def settings(*, operations: Any = None, environment: str = "production", docs: bool = False, **http: Any) -> Any:
    """Return settings with *http* laid over the defaults of ``[http]``."""
    unknown = set(http) - set(_HTTP)
    assert not unknown, unknown
    return SimpleNamespace(
        http=SimpleNamespace(**{**_HTTP, **http}),
        service=SimpleNamespace(environment=environment, docs=docs),
        operations=operations or {},
        server=SimpleNamespace(),
        log=SimpleNamespace(),
    )


def service(name: str = "test", *, settings: Any = None, **options: Any) -> Service:
    """Return a service with the default settings, or those given."""
    return Service(name, settings=settings if settings is not None else _settings(), **options)


_settings = settings

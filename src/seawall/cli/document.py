"""``seawall openapi``: the API document."""

from __future__ import annotations

from pathlib import Path

import msgspec
import typer

from seawall.cli.report import CommandError
from seawall.cli.target import load_service
from seawall.cli.terminal import write_json

__all__ = ["write_document"]


def write_document(target: str, output: Path | None, version: str | None) -> None:
    """Write the OpenAPI document of the service that *target* names.

    Args:
        target: The service.
        output: The file; standard output by default.
        version: One version, where the service has several outside the path.

    Raises:
        CommandError: There is no such service or version, or the file cannot be written.
        ConfigurationError: The service cannot be compiled.
    """
    service = load_service(target)
    versions = sorted({route.version for route in service.build().routes if route.version is not None})
    if version is not None and version not in versions:
        there = f"it has {', '.join(versions)}." if versions else "it has none; leave --version out."
        raise CommandError(f"{service.name} has no version {version!r}; {there}")
    document = service.openapi(version)
    if output is None:
        write_json(document)
        return
    text = msgspec.json.format(msgspec.json.encode(document), indent=2)
    try:
        output.write_bytes(text + b"\n")
    except OSError as error:
        raise CommandError(f"cannot write {output}: {error.strerror or error}.") from None
    typer.echo(f"{output}: OpenAPI {document['openapi']}, {len(document.get('paths', {}))} paths", err=True)

# ruff: noqa: INP001 - a script, in no package
"""Runs what a reader would type: ``curl`` against an example's service, in memory, and ``seawall`` commands."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import httpx

from seawall import Service
from seawall.clock import SystemRandom

__all__ = ["answers", "load", "output"]

SEED = 2026
"""Chance is seeded, so that request ids in documents stay what they are."""
SECONDS = 60
"""How long a command may take."""

# RFC 9110 has newer phrases than some versions of Python.
_PHRASES = {413: "Content Too Large", 414: "URI Too Long", 421: "Misdirected Request", 422: "Unprocessable Content"}


def load(path: Path) -> ModuleType:
    """Import the example at *path* afresh, with its neighbours importable as they are for a reader."""
    name = f"docs_example_{re.sub(r'[^A-Za-z0-9]+', '_', str(path))}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # noqa: PT018, S101 - it is a Python file
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # the types of annotations are looked up there
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


def answers(path: Path, body: str) -> str:
    """Return the ``$ curl`` lines of *body*, each with what the service in the file *path* answers.

    It runs in the file's folder, so that it reads the settings there.
    """
    with contextlib.chdir(path.parent):
        service: Service = load(path).service
        service.random = SystemRandom(SEED)
        return asyncio.run(_answers(service, list(_commands(body))))


def output(folder: Path, body: str) -> str:
    """Return the ``$ seawall`` lines of *body*, each with what it prints when run in *folder*."""
    lines = []
    for command in _commands(body):
        words = shlex.split(command.replace("\\\n", " "))
        if words[0] != "seawall":
            raise ValueError(f"only seawall commands are run for documents, not {words[0]!r}")
        environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
        done = subprocess.run(  # noqa: S603 - the project's own command
            [sys.executable, "-m", "seawall", *words[1:]],
            cwd=folder,
            env={name: value for name, value in environment.items() if not name.startswith("SEAWALL_")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        printed = done.stdout.replace(f"{folder}/", "").replace(str(folder), ".")
        lines += [f"$ {command}", *(line.rstrip() for line in printed.strip("\n").splitlines()), ""]
    return "\n".join(lines[:-1]) + "\n"


def _commands(body: str) -> Iterator[str]:
    """Yield the commands after ``$``, with the lines that go on after a backslash or within quotes."""
    lines = iter(body.splitlines())
    for line in lines:
        if not line.startswith("$ "):
            continue
        command = line[2:]
        while command.endswith("\\") or command.count("'") % 2:
            command += "\n" + next(lines)
        yield command


async def _answers(service: Service, commands: list[str]) -> str:
    shown = []
    transport = httpx.ASGITransport(service, client=("127.0.0.1", 50000))
    async with service.running(), httpx.AsyncClient(transport=transport) as client:
        for command in commands:
            curl, _, jq = command.partition("| jq")
            asked = _curl().parse_args(shlex.split(curl.replace("\\\n", " "))[1:])
            response = await client.send(_request(asked))
            shown.append(f"$ {command}\n{_answer(asked, response, pretty=bool('| jq' in command), jq=jq.strip())}")
    return "\n".join(shown)


def _curl() -> argparse.ArgumentParser:
    """Return a parser for the options of curl that documents use."""
    parser = argparse.ArgumentParser(prog="curl", add_help=False, exit_on_error=False)
    parser.add_argument("url")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-I", dest="head", action="store_true")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-b", dest="cookie")
    parser.add_argument("-d", dest="data")
    parser.add_argument("--json", dest="json")
    parser.add_argument("-F", dest="form", action="append", default=[])
    parser.add_argument("-i", dest="include", action="store_true")
    parser.add_argument("-s", dest="silent", action="store_true")
    parser.add_argument("-o", dest="output")
    parser.add_argument("-D", dest="dump")
    return parser


def _request(asked: argparse.Namespace) -> httpx.Request:
    """Return the request that curl would send; httpx adds fields of its own to none it is given as pairs."""
    fields = {"host": urlsplit(asked.url).netloc, "user-agent": "curl/8.14.1", "accept": "*/*"}
    body = b""
    if asked.form:
        files = [_part(each) for each in asked.form]
        made = httpx.Request("POST", asked.url, files=files, headers={"content-type": f"multipart/form-data; {_EDGE}"})
        body = made.read()
        fields["content-type"] = made.headers["content-type"]
    elif asked.json is not None:
        body, fields["content-type"], fields["accept"] = asked.json.encode(), "application/json", "application/json"
    elif asked.data is not None:
        body, fields["content-type"] = asked.data.encode(), "application/x-www-form-urlencoded"
    if asked.cookie:
        fields["cookie"] = asked.cookie
    for header in asked.headers:
        name, _, value = header.partition(":")
        fields[name.lower()] = value.strip()
    if body:
        fields["content-length"] = str(len(body))
    method = asked.method or ("HEAD" if asked.head else "POST" if body else "GET")
    return httpx.Request(method, asked.url, headers=list(fields.items()), content=body)


_EDGE = "boundary=------------------------4ea5a17d"


def _part(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    if not value.startswith("@"):
        return name, (None, value)
    file, _, kind = value[1:].partition(";type=")
    return name, (file, f"the content of {file}".encode(), kind or "application/octet-stream")


def _answer(asked: argparse.Namespace, response: httpx.Response, *, pretty: bool, jq: str) -> str:
    lines = []
    if asked.include or asked.head or asked.dump == "-":
        phrase = _PHRASES.get(response.status_code) or HTTPStatus(response.status_code).phrase
        lines.append(f"HTTP/1.1 {response.status_code} {phrase}")
        lines += [f"{name.decode()}: {value.decode('latin-1')}" for name, value in response.headers.raw]
        lines.append("")
    if not asked.head and asked.output is None and response.content:
        lines.append(_jq(response.json(), jq) if pretty else response.text.rstrip("\n"))
    while lines and not lines[-1]:
        lines.pop()
    return "\n".join(lines) + "\n" if lines else ""


def _jq(value: Any, path: str) -> str:
    """Return what ``jq`` prints for a plain path such as ``.errors``."""
    for name in shlex.split(path)[0].strip(".").split(".") if path else ():
        value = value.get(name)
    return json.dumps(value, indent=2, ensure_ascii=False)

"""Prints what redbot says about a URL: one JSON object per note and line, ``python redbot_notes.py URL HEADERS``."""

from __future__ import annotations

import json
import sys
from configparser import ConfigParser

import thor
from redbot.resource import HttpResource


def main() -> None:
    config = ConfigParser()
    config.read_dict({"redbot": {"enable_local_access": "True"}})
    resource = HttpResource(config["redbot"])
    headers = list(json.loads(sys.argv[2]).items())
    resource.set_request(sys.argv[1], headers=headers)
    resource.on("check_done", thor.stop)
    resource.check()
    thor.run()
    tell("", "INFO" if resource.response.complete else "BAD", f"status {resource.response.status_code}")
    for request, fetched in {"": resource, **resource.subreqs}.items():
        if fetched.fetch_error is not None:
            tell(request, "BAD", repr(fetched.fetch_error))
        tell_all(request, fetched.response.notes)


def tell_all(request, notes):
    for note in notes:
        tell(request, note.level.name, str(note.summary), {name: str(value) for name, value in note.vars.items()})
        tell_all(request, getattr(note, "subnotes", ()))


def tell(request, level, summary, values=None):
    sys.stdout.write(json.dumps({"request": request, "level": level, "summary": summary, "values": values}) + "\n")


if __name__ == "__main__":
    main()

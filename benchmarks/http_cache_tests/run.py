"""Runs http-cache-tests against Seawall: ``python benchmarks/http_cache_tests/run.py PATH-TO-THE-SUITE``.

Starts the suite's origin, a Seawall server in front of it, and the suite's client; prints how many tests of each kind
passed, and every required one that did not. Exit status: 0, or 1 if fewer required tests passed than ``--least``.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SCORE = """
import { determineTestResult, resultTypes } from './test-engine/lib/results.mjs'
import tests from './tests/index.mjs'
import { readFileSync } from 'node:fs'
const results = JSON.parse(readFileSync(0))
const scored = {}
for (const suite of tests) {
  for (const test of suite.tests) {
    if (test.browser_only) continue
    const found = determineTestResult(tests, test.id, results)
    const result = Object.keys(resultTypes).find(name => resultTypes[name] === found)
    scored[test.id] = { kind: test.kind || 'required', result, name: test.name, said: results[test.id] }
  }
}
console.log(JSON.stringify(scored))
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_for(port: int, process: subprocess.Popen[Any], seconds: float = 20) -> None:
    """Wait until *process* listens on *port*."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"nothing listens on port {port}: {process.args}")


def run(suite: Path, one: str, log: Any) -> Any:
    """Run the suite, or one test of it, and return what its client says."""
    origin, port = free_port(), free_port()
    env = os.environ | {"npm_config_protocol": "http", "npm_config_port": str(origin)}
    env |= {"npm_config_pidfile": str(HERE / "origin.pid")}
    processes = []
    try:
        server = ["node", "test-engine/server/server.mjs"]
        processes.append(subprocess.Popen(server, cwd=suite, env=env, stdout=log, stderr=log))
        wait_for(origin, processes[-1])
        seawall = [sys.executable, "-m", "seawall", "run", "app:service", "--port", str(port)]
        own = os.environ | {"CACHE_TESTS_ORIGIN": f"http://127.0.0.1:{origin}", "SEAWALL_LOG_ACCESS": "false"}
        processes.append(subprocess.Popen(seawall, cwd=HERE, env=own, stdout=log, stderr=log))
        wait_for(port, processes[-1])
        client = ["node", "--no-warnings", "test-engine/cli.mjs"]
        env |= {"npm_config_base": f"http://127.0.0.1:{port}", "npm_config_id": one, "npm_package_config_id": one}
        done = subprocess.run(client, cwd=suite, env=env, stdout=subprocess.PIPE, stderr=log, check=True, text=True)
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(10)
        (HERE / "origin.pid").unlink(missing_ok=True)
    return done.stdout


def score(suite: Path, results: str) -> dict[str, Mapping[str, Any]]:
    """Return each test's kind and result, by the suite's own rules: one whose prerequisite failed has failed."""
    node = ["node", "--input-type=module", "-e", SCORE]
    done = subprocess.run(node, cwd=suite, input=results, stdout=subprocess.PIPE, check=True, text=True)
    scored: dict[str, Mapping[str, Any]] = json.loads(done.stdout)
    return scored


def summary(scored: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return how many tests of each kind passed, and what those said that did not."""
    found: dict[str, Any] = {}
    for name, each in scored.items():
        kind = found.setdefault(each["kind"], {"passed": 0, "of": 0, "failed": {}})
        kind["of"] += 1
        if each["result"] in ("pass", "yes"):
            kind["passed"] += 1
        else:
            said = each["said"]
            kind["failed"][name] = [each["result"], said[1] if isinstance(said, list) else said]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", type=Path, help="a clone of github.com/http-tests/cache-tests after npm install")
    parser.add_argument("--test", default="", help="run this one and print what went over the wire")
    parser.add_argument("--kind", default="required", help="list what failed of: required, optimal, check")
    parser.add_argument("--least", type=int, default=127, help="required tests that must pass")
    parser.add_argument("--json", type=Path, help="write the counts and what failed there")
    parser.add_argument("--log", type=Path, default=Path(os.devnull), help="what the processes print")
    options = parser.parse_args()
    with options.log.open("wb") as log:
        output = run(options.suite.resolve(), options.test, log)
    if options.test:
        print(output)
        return 0
    scored = score(options.suite, output)
    if options.json:
        options.json.write_text(json.dumps(summary(scored), indent=2) + "\n")
    for kind in ("required", "optimal", "check"):
        counts = Counter(each["result"] for each in scored.values() if each["kind"] == kind)
        print(f"{kind}: {counts['pass'] + counts['yes']} of {counts.total()}  {dict(counts)}")
    for name, each in scored.items():
        if each["kind"] == options.kind and each["result"] not in ("pass", "yes"):
            print(f"  {each['result']:15} {name}: {each['said']}")
    passed = sum(each["kind"] == "required" and each["result"] == "pass" for each in scored.values())
    return 0 if passed >= options.least else 1


if __name__ == "__main__":
    raise SystemExit(main())

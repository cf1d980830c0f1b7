"""Compare Seawall with its peers: `python benchmarks/run.py`, or `make bench`; see README.md beside it."""

import argparse
import contextlib
import shutil
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it also runs by its path

from benchmarks.harness import machine, report, setup
from benchmarks.harness.catalogue import FAMILIES, WORKLOADS
from benchmarks.harness.contenders import CONTENDERS, Contender
from benchmarks.harness.load import WARM_UP, LoadError, measure, warm_up
from benchmarks.harness.paths import LATEST, ROOT
from benchmarks.harness.servers import Server, StartError, pinning, serving
from benchmarks.harness.verify import WrongAnswerError, verify
from benchmarks.harness.workloads import Workload

BUSY = 0.5  # load average from which on the machine is called busy


@dataclass(slots=True)
class Comparison:
    """One run: what was chosen, and what has been seen so far."""

    options: argparse.Namespace
    console: Console
    cells: list[tuple[Workload, Contender]]
    server_cpu: int | None
    load_cpu: int | None
    samples: report.Samples = field(default_factory=dict)
    verdicts: report.Verdicts = field(default_factory=dict)
    failed: dict[str, dict[str, str]] = field(default_factory=dict)

    def verify_all(self) -> None:
        """Start each contender of each workload once; drop those that do not start or answer wrongly."""
        for cell in tuple(self.cells):
            workload, contender = cell
            try:
                with self._serving(cell) as server:
                    self.verdicts.setdefault(workload.name, {})[contender.name] = verify(server, workload)
            except (StartError, WrongAnswerError) as problem:
                self._drop(cell, str(problem))

    def measure_round(self, number: int) -> None:
        """Measure what remains, in fresh processes: all of one comparison side by side, a second each in turn."""
        for group in groups_of(self.cells):
            with contextlib.ExitStack() as stack:
                servers = {cell: server for cell in group if (server := self._started(stack, cell)) is not None}
                for turn in range(self.options.seconds):
                    # Forth and back, so that nobody is always the one behind the same other.
                    for cell in tuple(servers) if turn % 2 == 0 else tuple(reversed(servers)):
                        self._measure(cell, servers[cell])
                        if cell not in self.cells:
                            del servers[cell]
            for workload, contender in servers:
                samples = self.samples[workload.name][contender.name][-self.options.seconds :]
                self.console.print(
                    f"  round {number}  {workload.name:13} {contender.name:17}"
                    f" {median(each.requests_per_second for each in samples):>10,.0f} /s"
                    f"  p99 {median(each.p99 for each in samples) / 1000:.2f} ms"
                )

    def _started(self, stack: contextlib.ExitStack, cell: tuple[Workload, Contender]) -> Server | None:
        """Start the server of *cell* for as long as *stack* is open, and warm it up."""
        workload, contender = cell
        try:
            server = stack.enter_context(self._serving(cell, quiet=workload.logged or contender.logs))
            warm_up(server, workload, connections=self.options.connections, cpu=self.load_cpu)
        except (StartError, LoadError) as problem:
            self._drop(cell, str(problem))
            return None
        return server

    def _measure(self, cell: tuple[Workload, Contender], server: Server) -> None:
        workload, contender = cell
        try:
            sample = measure(server, workload, connections=self.options.connections, cpu=self.load_cpu)
        except LoadError as problem:
            self._drop(cell, str(problem))
            return
        self.samples.setdefault(workload.name, {}).setdefault(contender.name, []).append(sample)

    def _serving(
        self, cell: tuple[Workload, Contender], *, quiet: bool = False
    ) -> contextlib.AbstractContextManager[Server]:
        workload, contender = cell
        return serving(
            contender, cpu=self.server_cpu, routes=workload.routes, variables=workload.variables, quiet=quiet
        )

    def _drop(self, cell: tuple[Workload, Contender], why: str) -> None:
        workload, contender = cell
        self.cells.remove(cell)
        self.samples.get(workload.name, {}).pop(contender.name, None)
        first, *_, last = why.splitlines() * 2
        brief = first if first == last else f"{first}: {last}"
        known = brief in self.failed.get(contender.name, {}).values()
        self.failed.setdefault(contender.name, {})[workload.name] = brief
        self.console.print(f"[red]skipped[/] {contender.name} ({workload.name}):", end=" ")
        self.console.print("as before" if known else why, markup=False, highlight=False, soft_wrap=True)


def cells_of(workloads: list[Workload], contenders: list[Contender]) -> list[tuple[Workload, Contender]]:
    """Return the order of one round: contenders in turn, both sizes of the routes workload together."""
    cells = [
        (workload, each)
        for workload in workloads
        if not workload.routes
        for each in contenders
        if workload.family in each.families and (each.guarded or not workload.guards_only)
    ]
    for contender in contenders:
        if contender.routes:
            cells += [(workload, contender) for workload in workloads if workload.routes]
    return cells


def groups_of(cells: list[tuple[Workload, Contender]]) -> list[list[tuple[Workload, Contender]]]:
    """Return the cells that are compared with each other, together: those of a workload, both sizes of the routes."""
    groups: dict[str, list[tuple[Workload, Contender]]] = {}
    for cell in cells:
        groups.setdefault(cell[0].family if cell[0].routes else cell[0].name, []).append(cell)
    return list(groups.values())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py", description="Compare Seawall with its peers, side by side.")
    parser.add_argument("--only", type=_names({each.name for each in CONTENDERS}), metavar="NAME,…")
    known = {*FAMILIES, *(workload.name for workload in WORKLOADS)}
    parser.add_argument("--workloads", type=_names(known), metavar="NAME,…")
    parser.add_argument("--rounds", type=_positive, default=3, help="measured rounds (default 3)")
    parser.add_argument("--seconds", type=_positive, default=5, help="seconds per contender and round (default 5)")
    parser.add_argument("--connections", type=_positive, default=64, help="kept-alive connections (default 64)")
    parser.add_argument("--python", metavar="PATH", help="interpreter of the Python contenders (default: the quickest)")
    parser.add_argument("--list", action="store_true", help="name contenders and workloads, and stop")
    parser.add_argument("--setup", action="store_true", help="install and build the contenders, and stop")
    return parser.parse_args()


def _names(known: set[str]):
    def parse(text: str) -> set[str]:
        names = {name.strip() for name in text.split(",") if name.strip()}
        if not names or names - known:
            raise argparse.ArgumentTypeError(f"expected some of {', '.join(sorted(known))}, got {text!r}")
        return names

    return parse


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def main() -> int:
    options = arguments()
    console = report.console()
    if options.list:
        console.print("contenders:", ", ".join(each.name for each in CONTENDERS), highlight=False)
        console.print("workloads: ", ", ".join(FAMILIES), highlight=False)
        return 0

    if shutil.which("wrk") is None:
        console.print("wrk, the load generator, is not installed (Debian: apt-get install wrk).")
        return 2
    ready, skipped = setup.prepare(options.only or {each.name for each in CONTENDERS}, options.python)
    for name, why in skipped.items():
        console.print(f"[yellow]skipped[/] {name}: {why}")
    if options.setup:
        return 0

    chosen = options.workloads or set(FAMILIES)
    workloads = [each for each in WORKLOADS if each.name in chosen or each.family in chosen]
    server_cpu, load_cpu = pinning()
    comparison = Comparison(options, console, cells_of(workloads, ready), server_cpu, load_cpu)
    about = machine.describe()
    console.print(f"{about['cpu']}, {about['cores']} cores, {about['kernel']}, Python {about['python']}, {about['go']}")
    if server_cpu is None:
        console.print("One core only, or no taskset: server and load share what there is; compare ratios alone.")
    else:
        console.print(f"server on core {server_cpu}, load on core {load_cpu}, {options.connections} connections")
    if about["load_average_1m"] > BUSY:
        console.print(f"[yellow]The machine is busy[/] (load {about['load_average_1m']}): expect noise.")

    comparison.verify_all()
    for number in range(1, options.rounds + 1):
        comparison.measure_round(number)

    if not any(comparison.samples.values()):
        console.print("Nothing could be measured; the last results are left as they were.")
        return 1
    report.print_tables(console, comparison.samples)
    report.print_bars(console, comparison.samples)
    notes = report.unequal_headers(comparison.verdicts)
    for note in notes:
        console.print(f"[yellow]not equal[/] {note}", highlight=False)
    for name, why in skipped.items():
        console.print(f"not in the tables: {name}: {why}", markup=False, highlight=False)
    for name, reasons in comparison.failed.items():
        for workload, why in reasons.items():
            console.print(f"not in the {workload} table: {name}: {why}", markup=False, highlight=False)

    results = {
        "machine": about,
        "versions": machine.versions(ready),
        "settings": {
            "rounds": options.rounds,
            "seconds": options.seconds,
            "warm_up_seconds": WARM_UP,
            "connections": options.connections,
            "server_core": server_cpu,
            "load_core": load_cpu,
        },
        **report.document(comparison.samples, comparison.verdicts),
        "notes": notes,
        "skipped": skipped,
        "failed": comparison.failed,
    }
    if startup := report.read_latest().get("startup"):
        results["startup"] = startup
    report.write_latest(results)
    console.print(f"written to {LATEST.relative_to(ROOT)}", highlight=False)
    return 1 if comparison.failed else 0


def _end(*_: object) -> None:
    raise SystemExit(143)  # unwinds the blocks that end the servers


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nInterrupted; the servers have been ended and no results written.", file=sys.stderr)
        sys.exit(130)

"""The order of things: options, the rounds of each group, then table, bench.json and picture."""

import argparse
import dataclasses
import gc
import json
import pathlib
import random
import signal
import sys
from collections.abc import Callable, Sequence
from fnmatch import fnmatch

from . import inside, layers, machine, pairs, report, rows, runtimes, startup, terminal, timing, trees
from .pairs import Round
from .rows import Result, Row
from .runtimes import Runtime
from .scratch import CHECKOUT, Scratch
from .trees import Sizes

#: Rounds by group, quick and whole. A round of `run` takes 4 s, one of `io` 20 s and 100 s.
QUICK = {startup.SHIM: 40, startup.RUN: 7, layers.IO: 3}
WHOLE = {startup.SHIM: 150, startup.RUN: 25, layers.IO: 5}


def main() -> int:
    """Measure and report. Gives the exit status: 0 also where a budget is missed, since machines differ."""
    options = _options().parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        with Scratch() as scratch:
            return _measure(scratch, options)
    except timing.FailedError as e:
        terminal.progress("")
        print(f"bench: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        terminal.progress("")
        print("bench: interrupted; everything it made is gone again", file=sys.stderr)
        return 130


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("hack/bench", description="Measures ocishim on this machine.")
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds and smaller trees: 3 minutes at most"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="so many rounds of each group")
    parser.add_argument(
        "--only",
        metavar="PATTERN",
        default="",
        help="some rows only: startup, run, io, run/crun-*, io/runsc-*, io/*/git, …",
    )
    parser.add_argument(
        "--out", type=pathlib.Path, metavar="DIR", default=CHECKOUT / ".cache/bench",
        help="where bench.json and bench.svg go (.cache/bench)",
    )  # fmt: skip
    return parser


def _measure(scratch: Scratch, options: argparse.Namespace) -> int:
    found = runtimes.find()
    sizes = trees.QUICK if options.quick else trees.WHOLE
    chosen = choose([*startup.SHIM_ROWS, *startup.run_rows(found), *layers.rows(found)], options.only)
    if not chosen:
        print(f"bench: --only {options.only}: no such row", file=sys.stderr)
        return 2
    described = machine.describe(scratch.path)
    measured: dict[str, list[Round]] = {}
    results: dict[str, list[Result]] = {}
    for group, usual in (QUICK if options.quick else WHOLE).items():
        of_group = [row for row in chosen if row.group == group]
        if of_group:
            needed = set().union(*(row.needs for row in of_group))
            measured[group] = _repeat(
                group, _measurer(group, scratch, found, sizes, needed), options.rounds or usual
            )
            results[group] = [rows.result(row, measured[group]) for row in of_group]
    _write(options, described, sizes, measured, results)
    return 0


def choose(all_rows: Sequence[Row], pattern: str) -> list[Row]:
    """Give the rows that a pattern names, and those that they are a ratio to."""
    named = [row for row in all_rows if _matches(row.name, pattern)]
    references = {(row.group, row.to) for row in named}
    return [row for row in all_rows if row in named or (row.group, row.key) in references]


def _matches(name: str, pattern: str) -> bool:
    return not pattern or fnmatch(name, pattern) or fnmatch(name, f"{pattern}/*")


def _measurer(
    group: str, scratch: Scratch, found: dict[str, Runtime], sizes: Sizes, needed: set[str]
) -> Callable[[random.Random], Round]:
    """Prepare a group; give what measures one round of it, in the order that it is given."""
    if group == layers.IO:
        work = layers.Layers(scratch, found, sizes)
        by_way = {
            way: [name for name in inside.WORKLOADS if f"{way.key}/{name}" in needed] for way in layers.WAYS
        }
        ways = [way for way, names in by_way.items() if names]

        def one_of_io(order: random.Random) -> Round:
            took = {}
            for way in order.sample(ways, len(ways)):
                for name, seconds in work.measure(way, by_way[way]).items():
                    took[f"{way.key}/{name}"] = seconds
            return took

        return one_of_io

    prepare = startup.shim_commands if group == startup.SHIM else startup.run_commands
    commands = {key: command for key, command in prepare(scratch, found).items() if key in needed}

    def one(order: random.Random) -> Round:
        took = {}
        for key in order.sample(list(commands), len(commands)):
            done = timing.run(commands[key].argv, commands[key].environment, scratch.path)
            took[key] = done.heard if group == startup.SHIM else done.gone
            if group == startup.SHIM:  # a container's processes are not all children of its runtime
                took[key + pairs.CPU] = done.cpu
            if commands[key].leaves_server:
                scratch.wait_for_servers()
        return took

    return one


def _repeat(group: str, one: Callable[[random.Random], Round], count: int) -> list[Round]:
    """Measure all rounds of a group, each in another order, after one that does not count."""
    order = random.Random(group)
    terminal.progress(f"{group}: first round, which does not count")
    one(order)
    done = []
    gc.collect()
    gc.disable()
    try:
        for number in range(count):
            terminal.progress(f"{group}: round {number + 1} of {count}")
            done.append(one(order))
    finally:
        gc.enable()
    terminal.progress("")
    return done


def _write(
    options: argparse.Namespace,
    described: dict[str, str],
    sizes: Sizes,
    measured: dict[str, list[Round]],
    results: dict[str, list[Result]],
) -> None:
    titles = layers.titles(sizes)
    head = report.head(described, is_quick=options.quick)
    tables = []
    if of_shim := results.get(startup.SHIM, []):
        bare = pairs.summary(pairs.values(measured[startup.SHIM], "python"))
        tables.append(report.shim(of_shim, bare))
    if of_run := results.get(startup.RUN, []):
        tables.append(report.run(of_run))
    if of_io := results.get(layers.IO, []):
        tables.append(report.layers(of_io, titles))
    terminal.show(head, tables)
    options.out.mkdir(parents=True, exist_ok=True)
    content = {
        "machine": described,
        "options": {key: str(value) for key, value in vars(options).items()},
        "sizes": dataclasses.asdict(sizes),
        "unit": "s",
        "rounds": measured,
        "rows": [dataclasses.asdict(each) for of_group in results.values() for each in of_group],
    }
    (options.out / "bench.json").write_text(json.dumps(content, indent=1) + "\n")
    from . import picture

    picture.draw(options.out / "bench.svg", head, of_shim, of_run, of_io, titles)
    print(f"\n{options.out}/bench.json has every measurement, {options.out}/bench.svg the picture")


if __name__ == "__main__":
    sys.exit(main())

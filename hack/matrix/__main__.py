"""The order of things: options, kernels, images, the cases on each kernel, then table, JSON and picture."""

import argparse
import concurrent.futures
import dataclasses
import json
import pathlib
import signal
import sys
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatchcase

from . import cases, images, kernels, machines, picture, report, sessions, zfs
from .cases import HOST, Case
from .errors import UnavailableError
from .kernels import Kernel
from .machines import CHECKOUT, Report

#: Boots at the same time: more than that and each is slower than one after the other on two cores.
_AT_ONCE = 2


def main() -> int:
    """Give the exit status: 1 if ocishim was wrong anywhere, or a kernel that is there did not end well."""
    parser = _parser()
    options = parser.parse_args()
    chosen = choose(options.case, is_sample=options.sample, is_zfs=options.zfs)
    if options.list:
        print("\n".join(case.name for case in chosen))
        return 0
    if not chosen:
        parser.error(f"--case {' '.join(options.case)}: no such case")
    if missing := machines.check_venv():
        parser.error(missing)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    names = [case.name for case in chosen]
    on_host, found, missing_kernels = (False, [], {}) if options.zfs else find_kernels(options.kernel)
    if unknown := [name for name in options.kernel if name in missing_kernels and name not in kernels.SUITES]:
        parser.error(f"--kernel {' '.join(unknown)}: not host, {', '.join(kernels.SUITES)} or a version")
    try:
        reports = (
            run_zfs(names) if options.zfs else run(names, found, on_host=on_host, is_sample=options.sample)
        )
    except KeyboardInterrupt:
        print("verdicts: interrupted; everything it started is gone again", file=sys.stderr)
        return 130
    options.out.mkdir(parents=True, exist_ok=True)
    _write(options.out, reports, missing_kernels)
    print(report.text(reports, missing_kernels))
    print(f"\n{options.out}/verdicts.json has every case, {options.out}/verdicts.svg the picture")
    return 1 if any(each.failed or report.wrong(each) for each in reports) else 0


def choose(patterns: Sequence[str], *, is_sample: bool, is_zfs: bool = False) -> list[Case]:
    """Give the cases that one of the patterns names; all without a pattern."""
    in_sample = {name for names in cases.SAMPLE.values() for name in names}
    return [
        case
        for case in (cases.of_zfs() if is_zfs else cases.all_cases())
        if (not is_sample or case.name in in_sample)
        and (not patterns or any(fnmatchcase(case.name, pattern) for pattern in patterns))
    ]


def find_kernels(wanted: Sequence[str]) -> tuple[bool, list[Kernel], dict[str, str]]:
    """Say whether the host is wanted; give the other kernels, and why some are missing."""
    found, missing = [], {}
    for suite in kernels.SUITES:
        have = kernels.find(suite)
        if wanted and suite not in wanted and not (have and have.name in wanted):
            versions = [name for name in wanted if name != HOST and name not in kernels.SUITES]
            if have or not versions:
                continue
        try:
            kernel = kernels.fetch(suite)
        except UnavailableError as e:
            missing[suite] = str(e)
            continue
        if not wanted or suite in wanted or kernel.name in wanted:
            found.append(kernel)
    known = {HOST, *missing, *(kernel.suite for kernel in found), *(kernel.name for kernel in found)}
    missing |= {name: "no such kernel" for name in wanted if name not in known}
    return not wanted or HOST in wanted, found, missing


def run(
    names: list[str], guests: Sequence[Kernel], *, on_host: bool, is_sample: bool = False
) -> list[Report]:
    """Run the cases on the host and in each guest, two at a time; host first, oldest kernel next.

    Of the sample each kernel has a part of its own.
    """

    def its(kernel: str) -> list[str]:
        return [name for name in names if not is_sample or name in cases.SAMPLE[kernel]]

    with (
        tempfile.TemporaryDirectory(prefix="ocishim-images-", dir="/var/tmp") as place,
        concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool,
    ):
        wanted = cases.needed(names)
        made, missing = images.make([name for name in images.NAMES if name in wanted], pathlib.Path(place))
        for name, why in missing.items():
            print(f"verdicts: no image of {name}: {why}", file=sys.stderr)
        started = [pool.submit(machines.on_host, its(HOST), made)] if on_host else []
        started += [pool.submit(machines.in_guest, kernel, its(kernel.suite), made) for kernel in guests]
        try:
            return [each.result() for each in started]
        except BaseException:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C should not stop the cleaning
            pool.shutdown(wait=False, cancel_futures=True)
            sessions.end_all()
            raise


def run_zfs(names: list[str]) -> list[Report]:
    """Run the cases with each version of ZFS, one after the other; the first time builds it, for minutes."""
    found = []
    for version in zfs.SUITES:
        print(f"verdicts: ZFS {version}", file=sys.stderr)
        found.append(machines.in_zfs_guest(version, names))
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "hack/verdicts",
        description="Asks ocishim about overlays, mounts and uses them without it, and compares.",
        epilog="Exit status: 0 ocishim was right everywhere; 1 it was not, or a kernel failed; 2 usage.",
    )
    parser.add_argument("--list", action="store_true", help="say the names of the cases, run none")
    parser.add_argument(
        "--kernel", action="append", default=[], metavar="NAME",
        help="host, a Debian suite (trixie) or a version (6.12); may be repeated (all)",
    )  # fmt: skip
    parser.add_argument(
        "--case", action="append", default=[], metavar="GLOB",
        help="some cases only: 'ext4/*/root', '*/userns*', '*volatile*'; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--zfs", action="store_true",
        help="ZFS 2.1 and 2.3 under QEMU instead: needs minutes, and builds the modules the first time",
    )  # fmt: skip
    parser.add_argument("--sample", action="store_true", help="the few cases that the test suite runs")
    parser.add_argument(
        "--out", type=pathlib.Path, metavar="DIR", default=CHECKOUT / "build/verdicts",
        help="where verdicts.json and verdicts.svg go (build/verdicts)",
    )  # fmt: skip
    return parser


def _write(out: pathlib.Path, reports: list[Report], missing: dict[str, str]) -> None:
    content = {"kernels": [dataclasses.asdict(each) for each in reports], "missing": missing}
    (out / "verdicts.json").write_text(json.dumps(content, indent=1) + "\n")
    (out / "verdicts.svg").write_text(picture.draw(reports))


if __name__ == "__main__":
    sys.exit(main())

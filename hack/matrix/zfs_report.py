"""Shows and records what ZFS is as layers of overlays: python -m hack.matrix.zfs_report --help"""

import argparse
import json
import pathlib
import sys
import tempfile
from typing import Any

from . import zfs, zfs_facts, zfs_table
from .boot import GUEST_RESULTS
from .errors import UnavailableError

_CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
_MEMORY = "/mnt"
_DATASETS = ["/tank", "/tank/on"]
_OTHERS = ["/tank/plain", "/tank/caseless"]
#: What is shown of an overlay, and compared with what is expected; all else is recorded.
_SHOWN = ("mount", "read", "append", "rm file", "mv file", "rm -r directory", "mkdir in its place")


def main() -> int:
    """Give the exit status: 1 where something is not as expected, or could not be found out."""
    parser = argparse.ArgumentParser("python -m hack.matrix.zfs_report", description=__doc__)
    parser.add_argument("versions", nargs="*", default=list(zfs.SUITES), help="by default all there are")
    parser.add_argument("--save", type=pathlib.Path, metavar="DIRECTORY", help="write VERSION.json there")
    parser.add_argument("--in-guest", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_guest:
        pathlib.Path(GUEST_RESULTS, "found.json").write_text(json.dumps(_measure()))
        return 0
    status = 0
    for version in options.versions:
        try:
            found = _ask(version)
        except UnavailableError as e:
            print(f"zfs {version}: {e}", file=sys.stderr)
            status = 1
            continue
        if _show(version, found):
            status = 1
        if options.save:
            options.save.mkdir(parents=True, exist_ok=True)
            (options.save / f"{version}.json").write_text(json.dumps(found, indent=1) + "\n")
    return status


def _measure() -> dict[str, Any]:
    return {
        "kernel": pathlib.Path("/proc/sys/kernel/osrelease").read_text().strip(),
        "zfs": pathlib.Path("/sys/module/zfs/version").read_text().strip(),
        "facts": {
            directory: zfs_facts.of_everybody(directory) for directory in [*_DATASETS, *_OTHERS, _MEMORY]
        },
        "overlays": {row.name: zfs_table.judge(row, pathlib.Path("/run")) for row in _rows()},
    }


def _rows() -> list[zfs_table.Row]:
    return zfs_table.rows(_DATASETS, _OTHERS, _MEMORY)


def _ask(version: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="ocishim-zfs-") as name:
        results = pathlib.Path(name)
        command = ["/usr/bin/python3", "-B", "-m", f"{__package__}.zfs_report", "--in-guest"]
        done = zfs.run(zfs.fetch(version), command, results=results, directory=_CHECKOUT)
        if done.status != 0:
            raise UnavailableError(f"status {done.status}: {done.err or done.console}")
        print(f"{version}: {done.seconds:.0f} s", file=sys.stderr)
        found: dict[str, Any] = json.loads((results / "found.json").read_text())
        return found


def _show(version: str, found: dict[str, Any]) -> int:
    """Print the table; give how many rows are not as expected."""
    print(f"ZFS {found['zfs']}, Linux {found['kernel']}")
    surprises = 0
    for row in _rows():
        result = found["overlays"][row.name]
        wrong = {name: result.get(name, "") for name in _SHOWN if result.get(name) != "ok"}
        surprise = wrong != zfs_table.expected(version, row)
        surprises += surprise
        said = ", ".join(f"{name}: {what}" for name, what in wrong.items()) or "all fine"
        print(f"  {row.name}: {said}{' (UNEXPECTED)' if surprise else ''}")
    return surprises


if __name__ == "__main__":
    sys.exit(main())

"""What the numbers were measured on: the machine, its kernel, the versions, the revision of the checkout."""

import datetime
import os
import pathlib
import platform
import shutil
import subprocess

from .scratch import CHECKOUT


def describe(directory: pathlib.Path) -> dict[str, str]:
    """Describe this machine; `directory` is where the measuring was done."""
    changed = _first_line("git", "-C", str(CHECKOUT), "status", "--porcelain", "--", "ocishim")
    revision = _first_line("git", "-C", str(CHECKOUT), "rev-parse", "--short", "HEAD")
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "ocishim": revision + (" with changes" if changed else ""),
        "kernel": platform.release(),
        "cpus": str(os.cpu_count()),
        "cpu": _cpu(),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / (1 << 30):.0f} GiB",
        "filesystem": _first_line("findmnt", "--noheadings", "--output=FSTYPE", "--target", str(directory)),
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": _version("/usr/bin/python3"),
        "runc": _version("runc"),
        "crun": _version("crun"),
        "runsc": _version("runsc"),
        "fuse-overlayfs": _version("fuse-overlayfs"),
        "git": _version("git"),
    }


def _cpu() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _version(program: str) -> str:
    """Take the version out of a line such as `runc version 1.1.5+ds1` or `Python 3.11.2`."""
    name = pathlib.Path(program).name
    for line in _output(program, "--version").splitlines():
        words = line.replace(":", "").lower().split()
        if words and words[0] in (name, name.rstrip("3")):  # fuse-overlayfs begins with fusermount3's
            return words[-1]
    return ""


def _first_line(*argv: str) -> str:
    return _output(*argv).partition("\n")[0].strip()


def _output(*argv: str) -> str:
    program = shutil.which(argv[0], path=f"{os.environ['PATH']}:/usr/sbin")
    if not program:
        return ""
    done = subprocess.run([program, *argv[1:]], capture_output=True, text=True, check=False)
    return done.stdout or done.stderr

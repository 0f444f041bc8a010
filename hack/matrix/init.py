#!/usr/bin/python3
"""The first process of a guest: mounts what programs expect, runs one command, says its status, powers off.

boot.py copies it beside job.json, which says what to do. Python of the host runs it, from a read-only hostfs.
"""

import ctypes
import json
import os
import pathlib
import platform
import subprocess
import sys
import traceback

_LIBC = ctypes.CDLL(None, use_errno=True)
_FINIT_MODULE = {"x86_64": 313, "aarch64": 273}
_POWER_OFF = 0x4321FEDC
_NOSUID_NODEV = 6
_RDONLY = 1
_JOB = "/run/job"


def main() -> None:
    """Do the job; whatever goes wrong is on the console, and the guest ends all the same."""
    try:
        marker, status = _work(pathlib.Path(sys.argv[0]).parent)
        print(f"\n{marker} {status}", flush=True)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os.sync()
    _LIBC.reboot(_POWER_OFF)


def _work(place: pathlib.Path) -> tuple[str, int]:
    job = json.loads((place / "job.json").read_text())
    _file_systems(place, job["writable"], job["results"])
    _show(job["checkout"], job["writable"])
    for module in job["modules"]:
        _load(module)
    _settle()
    with open(f"{_JOB}/stdout", "ab", 0) as out, open(f"{_JOB}/stderr", "ab", 0) as err:
        done = subprocess.run(
            job["argv"],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/run", "LANG": "C.UTF-8", **job["env"]},
            cwd=job["cwd"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            check=False,
        )
    return job["marker"], done.returncode


def _file_systems(place: pathlib.Path, writable: list[str], results: str) -> None:
    """Mount them; `place` first, since it may lie in what is hidden then."""
    _mount("proc", "/proc", "proc")
    _mount("sysfs", "/sys", "sysfs")
    _mount("tmpfs", "/run", "tmpfs", "mode=755")
    os.mkdir(_JOB)
    _mount("none", _JOB, "hostfs", str(place))
    if results:
        os.mkdir(f"{_JOB}/results")
        _mount("none", f"{_JOB}/results", "hostfs", results)
    _mount("devtmpfs", "/dev", "devtmpfs")
    for directory, kind, options in (
        ("/dev/pts", "devpts", "mode=620,ptmxmode=666"),
        ("/dev/shm", "tmpfs", "mode=1777"),
        ("/sys/fs/cgroup", "cgroup2", ""),
    ):
        os.makedirs(directory, exist_ok=True)
        _mount(kind, directory, kind, options)
    for directory in writable:
        _mount("tmpfs", directory, "tmpfs", "mode=1777")


def _show(checkout: str, writable: list[str]) -> None:
    """Mount the checkout where it is on the host, read-only, if a writable directory hides it."""
    if any(checkout.startswith(f"{directory}/") for directory in writable):
        os.makedirs(checkout)
        _mount("none", checkout, "hostfs", checkout, _RDONLY)


def _mount(source: str, target: str, kind: str, options: str = "", flags: int = 0) -> None:
    words = [os.fsencode(word) for word in (source, target, kind)]
    flags |= _NOSUID_NODEV if kind in ("proc", "sysfs") else 0
    if _LIBC.mount(*words, ctypes.c_ulong(flags), os.fsencode(options)) < 0:
        error = ctypes.get_errno()
        if not (kind == "devtmpfs" and error == 16):  # EBUSY: the kernel has mounted it already
            raise OSError(error, f"mount {kind} on {target}: {os.strerror(error)}")


def _load(module: str) -> None:
    descriptor = os.open(module, os.O_RDONLY)
    try:
        if _LIBC.syscall(_FINIT_MODULE[platform.machine()], descriptor, b"", 0) < 0:
            error = ctypes.get_errno()
            raise OSError(error, f"load {module}: {os.strerror(error)}")
    finally:
        os.close(descriptor)


def _settle() -> None:
    """Set up what an init system and udev do, as far as overlays and user namespaces need it."""
    pathlib.Path("/proc/sys/kernel/hostname").write_text("uml")
    switch = pathlib.Path("/proc/sys/kernel/unprivileged_userns_clone")  # Debian's kernels only
    if switch.exists():
        switch.write_text("1")
    if os.path.exists("/dev/fuse"):
        os.chmod("/dev/fuse", 0o666)
    if not os.path.exists("/dev/fd"):
        os.symlink("/proc/self/fd", "/dev/fd")


if __name__ == "__main__":
    main()

"""Where cases are run: on this host, or in a User Mode Linux; both run agent.py and give what it wrote."""

import dataclasses
import json
import os
import pathlib
import shutil
import string
import subprocess
import sys
import tempfile
import time
from typing import Any

from . import boot, images, sessions, zfs
from .kernels import Kernel

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
_VENV = CHECKOUT / ".venv"
#: Seconds for a boot, and for a case on a busy machine.
_START, _CASE = 60, 15
#: The same under QEMU, which interprets each instruction.
_SLOW_START, _SLOW_CASE = 300, 60


@dataclasses.dataclass(frozen=True)
class Report:
    """What came of one kernel: its cases, what doctor said, and what kept it from its end."""

    kernel: str
    version: str
    cases: list[dict[str, Any]]
    doctor: dict[str, Any]
    failed: str
    seconds: float


def on_host(names: list[str], made: dict[str, pathlib.Path], *, doctor: bool = True) -> Report:
    """Run cases on the host's kernel, in a mount namespace of its own, on loop devices; ask doctor, too."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ocishim-verdicts-", dir="/var/tmp") as name:
        scratch = pathlib.Path(name)
        scratch.chmod(0o755)
        results, place = scratch / "results", scratch / "place"
        results.mkdir()
        devices: dict[str, str] = {}
        try:
            for system, image in made.items():
                images.copy(image, scratch / image.name)
                words = ["/usr/sbin/losetup", "--find", "--show", str(scratch / image.name)]
                done = subprocess.run(words, check=True, capture_output=True, text=True)
                devices[system] = done.stdout.strip()
            _write_job(results, names, devices, doctor=doctor)
            failed = ""
            # Whatever a case leaves running would keep its mounts and loop devices: it ends with the agent.
            words = "unshare --mount --propagation private --pid --fork --kill-child --mount-proc".split()
            words += map(str, _agent(results, place))
            with sessions.start(words, directory=CHECKOUT) as process:
                try:
                    said = process.communicate(timeout=_limit(names))[0].decode(errors="replace")
                    if process.returncode:
                        failed = f"the agent ended with {process.returncode}: {said.strip()}"
                except subprocess.TimeoutExpired:
                    failed = "time limit"
        finally:
            for device in devices.values():
                subprocess.run(["/usr/sbin/losetup", "--detach", device], check=False)
        return _report("host", os.uname().release, results, failed, started)


def in_guest(
    kernel: Kernel, names: list[str], made: dict[str, pathlib.Path], *, doctor: bool = True
) -> Report:
    """Boot a kernel and run cases in it, on disks of its own; ask doctor, too."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ocishim-verdicts-", dir="/var/tmp") as name:
        scratch = pathlib.Path(name)
        results = scratch / "results"
        (results / "hostfs").mkdir(parents=True)
        disks, devices = [], {}
        for (system, image), letter in zip(made.items(), string.ascii_lowercase, strict=False):
            images.copy(image, scratch / image.name)
            disks.append(boot.Disk(scratch / image.name, read_only=system in ("squashfs", "erofs")))
            devices[system] = f"/dev/ubd{letter}"
        _write_job(
            results, names, devices, hostfs=str(results / "hostfs"), doctor=doctor, has_slow_start=True
        )
        done = boot.run(
            kernel,
            _agent(pathlib.Path(boot.GUEST_RESULTS), pathlib.Path("/run/verdicts")),
            results=results,
            disks=disks,
            directory=CHECKOUT,
            limit=_START + _limit(names),
        )
        failed = ""
        if done.status is None:
            failed = f"the guest did not end well: {' | '.join(done.console.strip().splitlines()[-5:])}"
        elif done.status:
            failed = f"the agent ended with {done.status}: {done.err.strip()}"
        return _report(kernel.name, kernel.version, results, failed, started)


def in_zfs_guest(version: str, names: list[str]) -> Report:
    """Boot Debian's kernel with this version of ZFS under QEMU and run cases in it, on a pool of its own."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ocishim-verdicts-", dir="/var/tmp") as name:
        results = pathlib.Path(name) / "results"
        results.mkdir()
        _write_job(results, names, {"zfs": zfs.DEVICE}, has_slow_start=True)
        built = zfs.fetch(version)
        done = zfs.run(
            built,
            _agent(pathlib.Path(boot.GUEST_RESULTS), pathlib.Path("/run/verdicts")),
            results=results,
            directory=CHECKOUT,
            limit=_SLOW_START + _SLOW_CASE * len(names),
        )
        failed = ""
        if done.status is None:
            failed = f"the guest did not end well: {' | '.join(done.console.strip().splitlines()[-5:])}"
        elif done.status:
            failed = f"the agent ended with {done.status}: {done.err.strip()}"
        return _report(f"zfs {version}", "QEMU", results, failed, started)


def check_venv() -> str:
    """Say what is missing before anything can be asked; "" if nothing is."""
    return "" if (_VENV / "bin/ocishim").exists() else "run hack/setup first"


def _agent(results: pathlib.Path, place: pathlib.Path) -> list[str | pathlib.Path]:
    program = shutil.which(sys.executable) or "/usr/bin/python3"
    return [os.path.realpath(program), "-m", "hack.matrix.agent", results, place]


def _limit(names: list[str]) -> float:
    return _START + _CASE * len(names)


def _write_job(
    results: pathlib.Path,
    names: list[str],
    devices: dict[str, str],
    *,
    hostfs: str = "",
    doctor: bool = True,
    has_slow_start: bool = False,
) -> None:
    job: dict[str, object] = {"cases": names, "venv": str(_VENV), "devices": devices, "hostfs": hostfs}
    job |= {"doctor": doctor, "has_slow_start": has_slow_start}
    (results / "job.json").write_text(json.dumps(job))


def _report(kernel: str, version: str, results: pathlib.Path, failed: str, started: float) -> Report:
    done, doctor = [], {}
    if (results / "cases.jsonl").exists():
        lines = (results / "cases.jsonl").read_text().splitlines()
        done = [json.loads(line) for line in lines if line.endswith("}")]
    if (results / "doctor.json").exists():
        doctor = json.loads((results / "doctor.json").read_text())
    return Report(kernel, version, done, doctor, failed, time.monotonic() - started)

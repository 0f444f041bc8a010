"""Boots a kernel of a distribution in QEMU, runs one command in it as its root, and gives what came of it.

QEMU emulates the processor, so it needs neither /dev/kvm nor any right. To be called as boot.py is.
"""

import dataclasses
import json
import pathlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence

from . import initrd
from .boot import WRITABLE, Disk, Done
from .errors import UnavailableError

_QEMU = "qemu-system-x86_64"
#: Where a guest sees what belongs to its job.
GUEST_JOB = "/run/job"
#: The guest's first program, and what that hands over to.
_FIRST = pathlib.Path(__file__).with_name("qemu-init")
_INIT = pathlib.Path(__file__).with_name("qemu_init.py")
#: What is read when the guest is gone, in the order of use.
_KEPT = ("stdout", "stderr", "status", "console")
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/run", "LANG": "C.UTF-8"}
#: Without what emulation makes slow. On a busy machine the kernel finds its timer broken and takes the speed
#: of the processor's clock for another: no_timer_check, and a clock that QEMU keeps.
_LINE = (
    "console=ttyS0 quiet panic=-1 mitigations=off nokaslr random.trust_cpu=on no_timer_check clocksource=hpet"
)


#: What `modules` of a Guest must hold, besides what its user wants.
NEEDED = ("virtio_pci", "virtio_blk", "virtio_rng", "9pnet_virtio", "9p")


@dataclasses.dataclass(frozen=True)
class Guest:
    """What QEMU boots: a vmlinux, which starts faster than a packed kernel, and modules in their order."""

    kernel: pathlib.Path
    modules: tuple[pathlib.Path, ...]


def run(
    guest: Guest,
    argv: Sequence[str | pathlib.Path],
    *,
    results: pathlib.Path | None = None,
    disks: Sequence[Disk] = (),
    bring: Sequence[pathlib.Path] = (),
    env: Mapping[str, str] | None = None,
    directory: pathlib.Path | str = "/",
    writable: Sequence[str] = WRITABLE,
    memory: str = "1536M",
    limit: float = 300,
) -> Done:
    """Boot, run the command with the host's directories, read-only, power off; `limit` in seconds ends it.

    Of `disks` the nth is /dev/vda, /dev/vdb, … A directory given as `results` is boot.GUEST_RESULTS in there,
    and what is written to it stays even if the guest is killed. Nothing else of the host can be written.
    Copies of the files to `bring` are in GUEST_JOB, wherever on the host they are.
    """
    if shutil.which(_QEMU) is None:
        raise UnavailableError(f"{_QEMU} is not installed; apt-get install qemu-system-x86")
    with tempfile.TemporaryDirectory(prefix="ocishim-qemu-") as scratch:
        place = pathlib.Path(scratch)
        job = {
            "argv": [str(word) for word in argv],
            "env": {**_ENVIRONMENT, **(env or {})},
            "cwd": str(directory),
        }
        (place / "job.json").write_text(json.dumps(job))
        shutil.copy(_INIT, place / "init.py")
        for file in bring:
            shutil.copy(file, place)
        (place / "initrd").write_bytes(_initrd(guest.modules))
        for name in _KEPT:
            (place / name).touch()
        if results:
            (place / "results").mkdir()
        started = time.monotonic()
        said = _wait(arguments(guest, place, results, disks, writable, memory), limit)
        seconds = time.monotonic() - started
        out, err, status, console = ((place / name).read_text(errors="replace") for name in _KEPT)
        return Done(int(status) if status else None, out, err, console + said, seconds)


def _initrd(modules: Sequence[pathlib.Path]) -> bytes:
    """Give what mounts the guest's root: a static busybox, the modules, and a script that uses both."""
    busybox = shutil.which("busybox")
    program = pathlib.Path(busybox).read_bytes() if busybox else b""
    if not busybox or b"/ld-linux" in program[:4096]:
        raise UnavailableError("no busybox that needs no library; apt-get install busybox-static")
    files = {name: initrd.directory() for name in ("bin", "dev", "modules", "new")}
    files["bin/busybox"] = initrd.file(program, executable=True)
    files["init"] = initrd.file(_FIRST.read_bytes(), executable=True)
    for number, module in enumerate(modules):
        files[f"modules/{number:03}-{module.name}"] = initrd.file(module.read_bytes())
    return initrd.archive(files)


def arguments(
    guest: Guest,
    place: pathlib.Path,
    results: pathlib.Path | None,
    disks: Sequence[Disk],
    writable: Sequence[str],
    memory: str,
) -> list[str]:
    """Give the command line: a machine with a console and with the host's directories, and nothing else."""
    shared = [_shared("host", pathlib.Path("/"), "readonly=on"), _shared("job", place)]
    if results:
        shared.append(_shared("results", results.resolve()))
    return [
        # The kernel ends QEMU when we end, kill -9 included.
        *("setpriv", "--pdeathsig", "KILL", _QEMU),
        *("-machine", "pc,accel=tcg", "-cpu", "qemu64,+rdrand", "-m", memory),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-kernel", str(guest.kernel), "-initrd", str(place / "initrd")),
        *("-append", f"{_LINE} writable={':'.join(writable)}"),
        *("-chardev", f"file,id=console,path={_escaped(place / 'console')}", "-serial", "chardev:console"),
        *(word for words in shared for word in words),
        *(word for number, disk in enumerate(disks) for word in _drive(f"disk{number}", disk)),
    ]


def _shared(tag: str, directory: pathlib.Path, *options: str) -> list[str]:
    """Give the words that share a directory; remap: more than one file system may lie below it."""
    share = ",".join(
        [
            "local",
            f"id={tag}",
            f"path={_escaped(directory)}",
            "security_model=none",
            "multidevs=remap",
            *options,
        ]
    )
    return ["-fsdev", share, "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]


def _drive(name: str, disk: Disk) -> list[str]:
    """Give the words that attach a disk; unsafe: nothing of it needs to outlive a crash of the host."""
    switch = "on" if disk.read_only else "off"
    words = f"file={_escaped(disk.image)},if=none,format=raw,cache=unsafe,id={name},readonly={switch}"
    return ["-drive", words, "-device", f"virtio-blk-pci,drive={name}"]


def _escaped(path: pathlib.Path) -> str:
    return str(path).replace(",", ",,")


def _wait(line: Sequence[str], limit: float) -> str:
    """Run QEMU until the guest powers off, or for `limit` seconds; give what QEMU itself said."""
    process = subprocess.Popen(
        line,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # a terminal's ^C comes to us, and QEMU ends by the kill
    )
    try:
        return process.communicate(timeout=limit)[0]
    except subprocess.TimeoutExpired:
        return f"\nended after {limit:g} s\n"
    finally:
        process.kill()
        process.communicate()

"""Boots a User Mode Linux, runs one command in it as its root, and gives what came of it."""

import dataclasses
import json
import os
import pathlib
import re
import secrets
import select
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence

from . import sessions
from .kernels import Kernel

_INIT = pathlib.Path(__file__).with_name("init.py")
#: Where a guest sees the private directory of its boot; what a command writes below it is kept.
GUEST_RESULTS = "/run/job/results"
#: What is writable in the guest besides /run; all of it is memory. The host's own files are read-only.
WRITABLE = ("/tmp", "/var/tmp", "/mnt")


@dataclasses.dataclass(frozen=True)
class Disk:
    """An image for the guest: the nth is /dev/ubda, /dev/ubdb, …"""

    image: pathlib.Path
    read_only: bool = False


@dataclasses.dataclass(frozen=True)
class Done:
    """How a command in a guest ended; `status` is None where the guest did not live to say it."""

    status: int | None
    out: str
    err: str
    console: str
    seconds: float


def run(
    kernel: Kernel,
    argv: Sequence[str | pathlib.Path],
    *,
    results: pathlib.Path | None = None,
    disks: Sequence[Disk] = (),
    env: Mapping[str, str] | None = None,
    directory: pathlib.Path | str = "/",
    writable: Sequence[str] = WRITABLE,
    memory: str = "512M",
    limit: float = 60,
) -> Done:
    """Boot, run the command with the host's / as a read-only root, power off; `limit` in seconds ends it.

    A directory given as `results` is GUEST_RESULTS in there, and what is written to it stays even if the
    guest is killed. Nothing else of the host can be written.
    """
    with tempfile.TemporaryDirectory(prefix="ocishim-uml-") as name:
        place = pathlib.Path(name)
        marker = f"ocishim-boot-{secrets.token_hex(8)}"
        job = {
            "argv": [str(word) for word in argv],
            "env": dict(env or {}),
            "cwd": str(directory),
            "checkout": str(pathlib.Path(__file__).resolve().parents[2]),
            "modules": [str(module) for module in kernel.modules],
            "writable": list(writable),
            "results": str(results.resolve()) if results else "",
            "marker": marker,
        }
        (place / "job.json").write_text(json.dumps(job))
        shutil.copy(_INIT, place / "init")
        (place / "init").chmod(0o755)
        for file in ("stdout", "stderr"):
            (place / file).touch()
        words = [
            *("rootfstype=hostfs", "rootflags=/", "ro", f"init={place}/init", f"mem={memory}"),
            *("con0=null,fd:1", "con=null", f"uml_dir={place}", "umid=guest", "quiet", "panic=-1"),
            *(f"ubd{at}{'r' if disk.read_only else ''}={disk.image}" for at, disk in enumerate(disks)),
        ]
        started = time.monotonic()
        console = _console(kernel, words, place, started + limit)
        said = re.search(rf"^{marker} (\d+)\s*$", console, re.MULTILINE)
        return Done(
            int(said[1]) if said else None,
            (place / "stdout").read_text(errors="replace"),
            (place / "stderr").read_text(errors="replace"),
            console.replace(said[0], "") if said else console,
            time.monotonic() - started,
        )


def _console(kernel: Kernel, words: list[str], place: pathlib.Path, end: float) -> str:
    """Run the kernel until it powers off, or until `end`; give what it wrote."""
    environment = {"HOME": str(place), "PATH": os.environ["PATH"], "GLIBC_TUNABLES": "glibc.pthread.rseq=0"}
    if kernel.library:
        environment["LD_LIBRARY_PATH"] = str(kernel.library)
    written = b""
    with sessions.start([kernel.program, *words], directory="/", environment=environment) as process:
        assert process.stdout
        while (left := end - time.monotonic()) > 0 and select.select([process.stdout], [], [], left)[0]:
            chunk = os.read(process.stdout.fileno(), 65536)
            if not chunk:
                break
            written += chunk
        else:
            written += b"\nended by the time limit\n"
    return written.decode(errors="replace")

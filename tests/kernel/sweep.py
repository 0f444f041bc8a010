"""Where ocishim can be interrupted: the system calls before the runtime's exec, and strace to break them."""

import dataclasses
import os
import pathlib
import re
import resource
import shutil

from harness import OCISHIM, STAGE, Bundle, Host, Result

#: Whatever changes something: mounts, namespaces, files, processes, descriptors.
CHANGES = (
    "unshare,setns,mount,umount2,fsopen,fsconfig,fsmount,move_mount,open_tree,mount_setattr,"
    "mkdir,mkdirat,mknod,mknodat,openat,openat2,write,writev,pwrite64,rename,renameat,renameat2,unlink,"
    "unlinkat,rmdir,link,linkat,symlink,symlinkat,truncate,ftruncate,chmod,fchmod,chown,fchown,"
    "setxattr,lsetxattr,fsetxattr,clone,clone3,fork,vfork,setsid,pipe2,dup,dup2,dup3,close_range,flock,"
    "chdir,fchdir,execve,kill"
)
#: So many answers of a FUSE server come before ocishim is satisfied; how many follow is up to the kernel.
#: What a trial removes again, and in which order, is up to the file system.
FIRST = {"writev": 4, "chmod": 2, "rmdir": 2, "unlink": 4, "unlinkat": 2}
_CALL = re.compile(r"^(\d+) +(\w+)\((.*)")
#: The interpreter opens its modules with it, and reads /proc; only what creates or is a device counts.
_OPENS = re.compile(r'^AT_FDCWD, "([^"]+)", .*(O_CREAT|O_WRONLY|O_RDWR)')
_EXPECTED = re.compile(r"config\.json|shared|(lower|upper|work-upper)\d|lower\d/file|work-upper\d/work")
_EXECVE = re.compile(r'^"([^"]+)"')
#: ocishim as it is, but a trial's files have the same name each time, to be hit there again.
_PYTHON = str(OCISHIM.parent / "python3")
_SCRIPT = f"""
import os, sys
sys.path.insert(0, {str(STAGE.parent.parent)!r})
os.urandom = bytes
from ocishim.shim import main
sys.exit(main())
"""


@dataclasses.dataclass(frozen=True)
class Point:
    """The nth call of some process to `syscall`; with a path, the nth that names it."""

    syscall: str
    nth: int
    path: str = ""

    def __str__(self) -> str:
        return f"{self.syscall} {self.path}#{self.nth}"


class Sweep:
    """One bundle whose container is `runtime`, a program that says what it finds in the overlays.

    `words` go in front of the command, `prefix` in front of ocishim.
    """

    def __init__(self, host: Host, bundle: Bundle, mode: str, runtime: str | pathlib.Path) -> None:
        self.host = host
        self.bundle = bundle
        self.words = ["--overlay", mode, "--runtime", str(runtime), "--root", host.root("runc")]
        self.runtime = str(runtime)
        self.path = bundle.path
        self.config = (bundle.directory / "config.json").read_bytes()
        self.trace = host.directory / "trace"

    def run(self, *strace: str) -> Result:
        """Run the bundle; under strace, if it is told what to do."""
        prefix = ["strace", "-f", "-qq", "-o", str(self.trace), *strace] if strace else []
        argv: list[str | pathlib.Path] = [
            *prefix,
            _PYTHON,
            "-IS",
            "-c",
            _SCRIPT,
            *self.words,
            "run",
            "--bundle",
            self.path,
            self.host.id("runc"),
        ]
        return self.host.run("runc", argv, timeout=30, preexec_fn=_few_descriptors)

    def points(self) -> list[Point]:
        """Find the calls from ocishim's start to the runtime's exec, each once."""
        self.run("-e", f"trace={CHANGES}")
        counts: dict[tuple[str, str, str], int] = {}
        found: dict[Point, None] = {}
        for line in self.trace.read_text().splitlines():
            match = _CALL.match(line)
            if not match or match[2].startswith("syscall_"):  # strace knows no name for it: statmount
                continue
            pid, syscall, rest = match.groups()
            path = ""
            if syscall in ("openat", "openat2"):
                opens = _OPENS.match(rest)
                if not opens:
                    continue
                path = opens[1]
            elif syscall == "execve":
                [path] = _EXECVE.findall(rest)
                if path == _PYTHON:
                    continue
            limit = FIRST.get(syscall)
            if limit and counts.get((pid, syscall, path), 0) == limit:
                continue
            nth = counts[pid, syscall, path] = counts.get((pid, syscall, path), 0) + 1
            found[Point(syscall, nth, path)] = None
            if syscall == "execve" and path == self.runtime:
                break
        return sorted(found, key=str)

    def break_at(self, point: Point, action: str) -> Result:
        """Run the bundle with this done at the point: `signal=KILL`, `error=EIO`."""
        inject = f"{point.syscall}:{action}:when={point.nth}"
        only = ["-P", point.path] if point.path else []
        for directory in self.bundle.directory.glob("work-upper*/work"):
            shutil.rmtree(directory)
        return self.run(*only, "-e", f"trace={point.syscall}", "-e", f"inject={inject}")

    def was_hit(self) -> bool:
        """Tell whether strace did what it was told to do."""
        text = self.trace.read_text()
        return "(INJECTED)" in text or "killed by SIGKILL" in text

    def was_muted(self) -> bool:
        """Tell whether strace broke what ocishim wrote to stderr."""
        return re.search(r"write\(2, .*\(INJECTED\)", self.trace.read_text()) is not None

    def damage(self) -> list[str]:
        """Find what the last run left that was not there before."""
        found = self.host.wait_until_nothing_is_left()
        if (self.bundle.directory / "config.json").read_bytes() != self.config:
            found.append("config.json was changed")
        for path in sorted(self.bundle.directory.rglob("*")):
            name = str(path.relative_to(self.bundle.directory))
            if not _EXPECTED.fullmatch(name):
                found.append(f"in the bundle: {name}")
        found += [f"in the stage: {name}" for name in os.listdir(STAGE) if name != "README"]
        return found


def _few_descriptors() -> None:
    """Without close_range(2) Python closes what might be open, one by one."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def make(host: Host, bundle: Bundle, overlays: int, mode: str) -> Sweep:
    """Make a bundle of so many overlays, and a runtime that shows what a file of each says.

    With two overlays there is a bind mount besides, from which mounts reach the host, and a trial of one like
    them went well before.
    """
    for number in range(1, overlays + 1):
        bundle.layer(f"lower{number}", file=f"{number}\n")
        bundle.overlay(destination=f"/ov{number}", lower=f"lower{number}", upper=f"upper{number}")
    if overlays == 2:
        entry = {"type": "bind", "source": "shared", "destination": "/data", "options": ["rbind", "rshared"]}
        bundle.spec["mounts"].append(entry)
        bundle.layer("shared")
        host.set("[runtimes.runc]\n", f"{host.directory}/cache")
    runtime = host.directory / "runc"
    runtime.write_text(f"#!/bin/busybox sh\nexec /bin/busybox cat {STAGE}/*/file\n")
    runtime.chmod(0o755)
    return Sweep(host, bundle, mode, runtime)

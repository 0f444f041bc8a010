"""What tests use to make bundles and to run ocishim and the real runtimes; it asserts nothing itself."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Sequence
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent
OCISHIM = ROOT / ".venv/bin/ocishim"
ROOTFS = ROOT / "examples/rootfs"
STAGE = next((ROOT / ".venv/lib").glob("python3*/site-packages/ocishim/stage"))
RUNTIMES = ("runc", "crun", "runsc")

#: crun refuses hybrid cgroups; without the v2 mount it takes them for v1. In a namespace of its own.
_WITHOUT_UNIFIED = (
    "unshare", "--mount", "--propagation", "slave", "sh", "-c",
    'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"', "sh",
)  # fmt: skip

_CAPABILITY_SETS = ("bounding", "effective", "permitted", "inheritable")
_CAPABILITIES = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD", "CAP_SETFCAP",
    "CAP_SETGID", "CAP_SETUID", "CAP_SYS_ADMIN",
]  # fmt: skip


def make_rootfs(directory: pathlib.Path) -> pathlib.Path:
    """Make a root file system that the test may change."""
    subprocess.run([ROOT / "hack/rootfs", directory], check=True)
    return directory


class Bundle:
    """A bundle in the making: change `spec`, then use `path`, which writes config.json."""

    def __init__(self, directory: pathlib.Path, command: str = "true") -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.spec: dict[str, Any] = {
            "ociVersion": "1.0.2",
            "root": {"path": str(ROOTFS), "readonly": True},
            "process": {
                "cwd": "/",
                "user": {"uid": 0, "gid": 0},
                "env": ["PATH=/bin"],
                "args": ["sh", "-c", command],
                "capabilities": dict.fromkeys(_CAPABILITY_SETS, _CAPABILITIES),
            },
            "hostname": "test",
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
            "linux": {
                "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "network")],
            },
        }

    @property
    def path(self) -> str:
        """The bundle's directory, with config.json written as `spec` is now.

        A /dev of its own comes last: runc makes /dev/ptmx anew, in a root file system that many tests share.
        """
        spec = dict(self.spec)
        mounts = spec.get("mounts")
        if isinstance(mounts, list) and not any(entry.get("destination") == "/dev" for entry in mounts):
            spec["mounts"] = [*mounts, {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}]
        (self.directory / "config.json").write_text(json.dumps(spec, indent=1))
        return str(self.directory)

    def layer(self, name: str, /, **files: str) -> pathlib.Path:
        """Make a directory in the bundle, with files."""
        directory = self.directory / name
        directory.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (directory / file).write_text(text)
        return directory

    def overlay(
        self, *options: str, destination: str = "/ov", lower: str = "lower", upper: str = "upper"
    ) -> dict[str, Any]:
        """Add an overlay; with no options given, of directories lower, upper and work, which are made."""
        if not options:
            for name in (lower, upper, f"work-{upper}"):
                self.layer(name)
            options = (f"lowerdir={lower}", f"upperdir={upper}", f"workdir=work-{upper}")
        entry = {"destination": destination, "type": "overlay", "source": "overlay", "options": list(options)}
        self.spec["mounts"].append(entry)
        return entry


@dataclasses.dataclass
class Result:
    """How a command ended."""

    status: int
    out: str
    err: str


class Host:
    """Runs commands of one test: state directories, settings and container ids of its own."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.settings = directory / "config.toml"
        self.set('[runtimes.runc]\n[runtimes.crun]\n[runtimes.runsc]\nargs = ["--network=none"]\n')
        self.prefix = f"t{uuid.uuid4().hex[:8]}"
        self.ids: list[tuple[str, str]] = []

    def set(self, text: str, trial_cache: str = "") -> None:
        """Write the settings; without a cache each overlay is tried first."""
        self.settings.write_text(f'trial_cache = "{trial_cache}"\n{text}')

    def id(self, runtime: str) -> str:
        """Make up a container id; the container is deleted when the test ends."""
        name = f"{self.prefix}-{len(self.ids)}"
        self.ids.append((runtime, name))
        return name

    def ocishim(self, runtime: str, *words: str, **more: Any) -> Result:
        """Run `ocishim --runtime RUNTIME --root … WORDS`."""
        return self.run(
            runtime, [OCISHIM, "--runtime", runtime, "--root", self.root(runtime), *words], **more
        )

    def bare(self, runtime: str, *words: str, **more: Any) -> Result:
        """Run the runtime itself, with the same state directory."""
        fixed = ["--network=none"] if runtime == "runsc" else []
        return self.run(runtime, [self.path(runtime), *fixed, "--root", self.root(runtime), *words], **more)

    def run(
        self,
        runtime: str,
        argv: Sequence[str | pathlib.Path],
        *,
        env: dict[str, str] | None = None,
        timeout: float = 60,
        detached: bool = False,
        **more: Any,
    ) -> Result:
        """Run a command to its end, as a runtime of this kind needs it on this machine.

        A detached command's output goes to files: its container keeps them open, a pipe would not end.
        """
        command = self.command(runtime, argv)
        fixed: dict[str, Any] = {"env": self.environment(env), "timeout": timeout, "check": False}
        fixed |= {"stdin": subprocess.DEVNULL, **more}
        if not detached:
            done = subprocess.run(command, text=True, capture_output=True, **fixed)
            return Result(done.returncode, done.stdout, done.stderr)
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            status = subprocess.run(command, stdout=out, stderr=err, **fixed).returncode
            out.seek(0)
            err.seek(0)
            return Result(status, out.read(), err.read())

    def command(self, runtime: str, argv: Sequence[str | pathlib.Path]) -> list[str]:
        """Give the command line that runs this one here."""
        prefix = _WITHOUT_UNIFIED if runtime == "crun" else ()
        return [*prefix, *map(str, argv)]

    def environment(self, more: dict[str, str] | None = None) -> dict[str, str]:
        """Give the environment of a test's commands."""
        path = os.environ["PATH"]
        return {
            "PATH": path,
            "HOME": str(self.directory),
            "OCISHIM_CONFIG": str(self.settings),
            **(more or {}),
        }

    def root(self, runtime: str) -> str:
        """Give the state directory for a runtime."""
        return str(self.state / runtime)

    @staticmethod
    def path(runtime: str) -> str:
        """Find a runtime's program."""
        found = shutil.which(runtime, path=f"{os.environ['PATH']}:/usr/sbin")
        assert found, f"{runtime} is not installed; hack/setup installs it"
        return found

    def end(self) -> None:
        """Delete the containers that are left."""
        for runtime, name in self.ids:
            self.bare(runtime, "delete", "--force", name)

    def left(self) -> list[str]:
        """Find what is left of this test on the host: mounts and processes that name its directory."""
        mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
        found = [f"mount: {line}" for line in mounts if str(self.directory) in line or str(STAGE) in line]
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if any(str(self.directory) in word or self.prefix in word for word in words):
                found.append(f"process {process.name}: {' '.join(words)}")
        return found

    def wait_until_nothing_is_left(self, seconds: float = 10) -> list[str]:
        """Wait for what ends by itself (a FUSE server, a gofer); give what does not."""
        end = time.monotonic() + seconds
        while (found := self.left()) and time.monotonic() < end:
            time.sleep(0.05)
        return found


def wait_for(condition: Any, seconds: float = 10) -> bool:
    """Wait until a condition holds; tell whether it came to hold."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


def without_kernel_log(result: Result) -> Result:
    """Take the kernel's log out of a message: it is the machine's, with other tests' lines in it."""
    assert "(kernel log: " in result.err, result.err
    return dataclasses.replace(result, err=re.sub(r" \(kernel log: .*\)(?=;)", "", result.err))

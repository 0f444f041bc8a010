"""The place of one run: a directory, a private copy of ocishim, and the end of all that was started."""

import errno
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
from types import TracebackType

from ocishim import linux

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
VENV = CHECKOUT / ".venv"


class Scratch:
    """A directory that, when left, takes with it its mounts, its containers and its processes.

    ocishim is measured as a copy of what hack/setup installed, so that another hack/setup does no harm.
    """

    def __init__(self) -> None:
        self.path = pathlib.Path()
        self.ocishim = ""

    def __enter__(self) -> "Scratch":
        # /var/tmp is on a disk, where /tmp may be memory.
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="ocishim-bench-", dir="/var/tmp"))
        self.path.chmod(0o755)
        try:
            self.ocishim = self._copy()
            self._hide()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C should not stop the cleaning
        try:
            self._end()
        finally:
            signal.signal(signal.SIGINT, before)

    def directory(self, name: str) -> pathlib.Path:
        """Make a directory in here."""
        made = self.path / name
        made.mkdir(parents=True, exist_ok=True)
        return made

    def environment(self, settings: pathlib.Path | None = None) -> dict[str, str]:
        """Give the environment of everything that is measured."""
        found = {"PATH": os.environ["PATH"], "HOME": str(self.path), "LANG": "C.UTF-8"}
        return found if settings is None else {**found, "OCISHIM_CONFIG": str(settings)}

    def state(self, runtime: str) -> str:
        """Give a runtime's state directory."""
        return str(self.path / "state" / pathlib.Path(runtime).name)

    def identifier(self, name: str) -> str:
        """Give a container's id that no other run has."""
        return f"{self.path.name}-{name}"

    def wait_for_servers(self, patience: float = 10) -> None:
        """Wait until the FUSE servers of containers that are gone have noticed."""
        end = time.monotonic() + patience
        while any("fuse-overlayfs" in words[0] for words in self._processes().values()):
            if time.monotonic() > end:
                raise TimeoutError(f"a fuse-overlayfs of {self.path} does not end")
            time.sleep(0.005)

    def _copy(self) -> str:
        library = next((VENV / "lib").glob("python3*/site-packages/ocishim"))
        venv = self.path / "venv"
        shutil.copytree(library, venv / library.relative_to(VENV))
        shutil.copy2(VENV / "pyvenv.cfg", venv)
        programs = self.directory("venv/bin")
        (programs / "python3").symlink_to((VENV / "bin/python3").resolve())
        launcher = (VENV / "bin/ocishim").read_text().replace(f"#!{VENV}/", f"#!{venv}/", 1)
        (programs / "ocishim").write_text(launcher)
        (programs / "ocishim").chmod(0o755)
        subprocess.run([programs / "ocishim", "--version"], check=True, stdout=subprocess.DEVNULL)
        return str(programs / "ocishim")

    def _hide(self) -> None:
        """Hide, in this mount namespace, what would make one machine's numbers differ from another's."""
        if os.path.isdir("/etc/ocishim"):  # the settings of this host
            linux.mount("tmpfs", "/etc/ocishim", "tmpfs", 0)
        if os.path.ismount("/sys/fs/cgroup/unified"):  # crun does not start on a hybrid hierarchy
            linux.umount("/sys/fs/cgroup/unified")

    def _end(self) -> None:
        for state in (self.path / "state").glob("*"):
            program = shutil.which(state.name, path=f"{os.environ['PATH']}:/usr/sbin")
            # A container's state is ID/ with runc and crun, ID_sandbox:ID.state with runsc.
            names = {entry.name.partition("_sandbox:")[0].removesuffix(".lock") for entry in state.iterdir()}
            for name in sorted(names) if program else ():
                argv = [str(program), "--root", str(state), "delete", "--force", name]
                subprocess.run(argv, capture_output=True, check=False, timeout=60)
        for process in self._processes():
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        # runsc leaves the control group of a container that was killed while it started.
        for directory, groups, _ in os.walk("/sys/fs/cgroup", topdown=False):
            for group in groups:
                if group.startswith(f"{self.path.name}-"):
                    self._remove_group(pathlib.Path(directory, group))
        for line in reversed(pathlib.Path("/proc/self/mountinfo").read_text().splitlines()):
            mount_point = line.split(" ")[4]
            if mount_point.startswith(f"{self.path}/"):
                linux.umount(mount_point)
        shutil.rmtree(self.path, ignore_errors=True)
        if self.path.exists():  # a process that was just killed may have made one more file
            time.sleep(0.2)
            shutil.rmtree(self.path)

    @staticmethod
    def _remove_group(group: pathlib.Path) -> None:
        end = time.monotonic() + 2
        while True:
            try:
                group.rmdir()
            except FileNotFoundError:
                return
            except OSError as e:
                if e.errno != errno.EBUSY or time.monotonic() > end:  # a killed process is still leaving it
                    return
                time.sleep(0.02)
            else:
                return

    def _processes(self) -> dict[int, list[str]]:
        """Find the processes, besides this one, whose command line names the directory."""
        found = {}
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if int(entry.name) != os.getpid() and any(str(self.path) in word for word in words):
                found[int(entry.name)] = words
        return found

"""Who runs ocishim in a test: root, an ordinary user, or that user as root of `unshare -r`.

/dev/fuse belongs to root alone on some machines. Each command of the user gets one that is open to all, in a
private mount namespace; the machine's own stays as it is (hack/for-user).
"""

import os
import pathlib
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

import account
from harness import ROOT, Bundle, Host, Result

WHO = ("root", "user", "unshare")
BACKENDS = ("kernel", "fuse")
Range = tuple[int, int, int]
#: What nobody is.
STRANGER = 3_000_000_000


class Person(Host):
    """Runs commands as one of WHO, or as the user `uid` without subordinate ids.

    All commands of an `unshare` run in the same user namespace, which a process of the test holds. `setup`
    is shell code that is run before, as root in the command's private mount namespace.
    """

    def __init__(self, directory: pathlib.Path, who: str, uid: int = -1) -> None:
        super().__init__(directory)
        self.who = who
        self.setup = ""
        self.become: list[str] = []
        self.uid = self.gid = 0
        self.holder: subprocess.Popen[bytes] | None = None
        if who == "root":
            return
        if uid >= 0:
            self.uid = self.gid = uid
            groups = "--clear-groups"
        else:
            entry = account.look()
            self.uid, self.gid = entry.pw_uid, entry.pw_gid
            groups = "--init-groups"
        self.become = ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", groups]
        self.own(directory)
        if who == "unshare":
            self.holder = subprocess.Popen(
                [*self.become, "unshare", "--user", "--map-root-user", "sh", "-c", "echo; exec sleep 1000"],
                stdout=subprocess.PIPE,
                env={"PATH": os.environ["PATH"]},
            )
            assert self.holder.stdout
            assert self.holder.stdout.readline() == b"\n", "unshare -r does not work on this machine"
            target = f"--target={self.holder.pid}"
            self.become += ["nsenter", "--user", "--preserve-credentials", target]

    def command(self, runtime: str, argv: Sequence[str | pathlib.Path]) -> list[str]:
        """Give the command line that runs this one as that person.

        What strace runs for an ordinary user it runs itself as that one: newuidmap keeps its set-user-ID bit
        only where the tracer is root.
        """
        if self.who == "user" and argv[0] == "strace":
            become, argv = ["strace", "-u", pwd.getpwuid(self.uid).pw_name], argv[1:]
        else:
            become = self.become
        command = [*become, *map(str, argv)]
        if self.setup:
            command = ["sh", "-c", f'{self.setup}exec "$@"', "sh", *command]
        if self.who != "root":
            return [str(ROOT / "hack/for-user"), str(self.uid), *command]
        if self.setup:
            command = ["unshare", "--mount", "--propagation", "slave", *command]
        return super().command(runtime, command)

    def container(self, runtime: str, bundle: Bundle, *options: str, **more: Any) -> Result:
        """Run a bundle, with these options of ocishim."""
        words = (*options, "run", "--bundle", bundle.path, self.id(runtime))
        return self.ocishim(runtime, *words, **more)

    def start(
        self, runtime: str, bundle: Bundle, name: str, *options: str, one_id: bool = False
    ) -> list[Result]:
        """Start a container in the background, by create and start.

        Debian's runsc cannot create one where uid 65534 is not mapped; it can run one there.
        """
        if runtime == "runsc" and (one_id or self.who == "unshare"):
            commands = [(*options, "run", "--detach", "--bundle", bundle.path, name)]
        else:
            commands = [(*options, "create", "--bundle", bundle.path, name), ("start", name)]
        return [self.ocishim(runtime, *command, detached=True) for command in commands]

    def own(self, path: pathlib.Path, uid: int = -1) -> pathlib.Path:
        """Give a file to the person; with a uid, to that one."""
        os.chown(path, self.uid if uid < 0 else uid, self.gid if uid < 0 else uid, follow_symlinks=False)
        return path

    def own_all(self, directory: pathlib.Path) -> pathlib.Path:
        """Give a tree to the person."""
        for path in (directory, *directory.rglob("*")):
            self.own(path)
        return directory

    def end(self) -> None:
        """Delete the containers that are left, and let the user namespace go."""
        super().end()
        if self.holder:
            self.holder.send_signal(signal.SIGKILL)
            self.holder.wait()
            assert self.holder.stdout
            self.holder.stdout.close()

    def remove(self) -> None:
        """Remove the directory of the test; what containers wrote there belongs to others."""
        shutil.rmtree(self.directory)


def lend(directory: pathlib.Path, who: str, uid: int = -1) -> Iterator[Person]:
    """Give a person; look after them when the test has ended."""
    person = Person(directory, who, uid)
    try:
        yield person
        person.end()
        assert person.wait_until_nothing_is_left() == []
    finally:
        person.remove()


class OwnBundle(Bundle):
    """A bundle whose directories belong to a person."""

    def __init__(self, person: Person, directory: pathlib.Path) -> None:
        self.person = person
        super().__init__(directory)
        person.own(directory)

    def layer(self, name: str, /, **files: str) -> pathlib.Path:
        """Make a directory in the bundle, with files."""
        if (self.directory / name).exists():
            return self.directory / name
        return self.person.own_all(super().layer(name, **files))

    def work(self, script: str) -> None:
        """Let the container run a shell script."""
        self.spec["process"]["args"] = ["sh", "-ec", script]

    def with_programs(self) -> pathlib.Path:
        """Give the container a root file system with the host's programs: /usr, read-only."""
        rootfs = self.layer("rootfs")
        for name in ("usr", "proc", "dev", "tmp", "ov", "other", "etc", "root"):
            self.layer(f"rootfs/{name}")
        for name in ("bin", "lib", "lib64", "sbin"):
            (rootfs / name).symlink_to(f"usr/{name}")
        (rootfs / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        self.spec["root"] = {"path": "rootfs", "readonly": True}
        self.spec["mounts"] += [
            {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"},
        ]
        self.spec["process"]["env"] = ["PATH=/usr/bin:/bin"]
        return rootfs

    def with_namespace(self, uids: Sequence[Range], gids: Sequence[Range]) -> None:
        """Give the container a user namespace with these maps."""
        linux: dict[str, Any] = self.spec["linux"]
        linux["namespaces"].append({"type": "user"})
        for name, ranges in (("uidMappings", uids), ("gidMappings", gids)):
            linux[name] = [{"containerID": a, "hostID": b, "size": c} for a, b, c in ranges]

"""Who starts ocishim's commands for people: root, or an ordinary user that nobody has heard of."""

import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from harness import OCISHIM, ROOT, Result, wait_for

#: In no /etc/passwd; the second is the first of the ids that it is granted where a test says so.
UID = 64711
GRANTED = 1_764_711_000
#: Over /etc, and not over files in it: who replaces one of those unmounts what is mounted there, for all.
_GRANT = """
top="$1/etc.$$"; mkdir "$top"; cp /etc/passwd "$top"; echo "stranger:x:$2:$2::/:/bin/sh" >>"$top/passwd"
for file in subuid subgid; do echo "stranger:$3:65536" >"$top/$file"; done
chmod 755 "$top"; chmod 644 "$top"/*; mount -t overlay -o lowerdir="$top":/etc overlay /etc
"""


class Person:
    """Runs commands in a directory of its own; `ids` tells that subordinate ids are granted."""

    def __init__(self, who: str, directory: pathlib.Path) -> None:
        self.who = who
        self.directory = directory
        self.uid = UID if who != "root" else 0
        self.settings = directory / "config.toml"
        self.settings.write_text('trial_cache = ""\n')
        self.settings.chmod(0o644)
        self.own(directory)

    def own(self, path: pathlib.Path) -> None:
        """Let a file, and what is in it, belong to this person."""
        subprocess.run(["chown", "-R", f"{self.uid}:{self.uid}", path], check=True)
        os.chown(self.settings, 0, 0)

    def lay(self, name: str, **files: str) -> pathlib.Path:
        """Make a directory with files; `__` in a name is a slash."""
        path = self.directory / name
        path.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            inner = path / file.replace("__", "/")
            inner.parent.mkdir(parents=True, exist_ok=True)
            inner.write_text(text)
        self.own(path)
        return path

    def command(self, *words: str | pathlib.Path) -> list[str]:
        """Give the command line by which this person runs another one."""
        argv = [str(word) for word in words]
        if self.who == "root":
            return argv
        script = _GRANT if self.who == "user with ids" else ""
        script += 'shift 3; exec setpriv --reuid="$0" --regid="$0" --clear-groups "$@"'
        mine = (str(UID), str(self.directory), str(UID), str(GRANTED))
        return [str(ROOT / "hack/for-user"), str(UID), "sh", "-ec", script, *mine, *argv]

    def environment(self) -> dict[str, str]:
        """Give the environment of the commands."""
        return {
            "PATH": "/usr/bin:/bin:/usr/sbin",
            "HOME": "/",
            "OCISHIM_CONFIG": str(self.settings),
        }

    def start(self, *words: str | pathlib.Path, **more: Any) -> "subprocess.Popen[str]":
        """Start a command."""
        fixed: dict[str, Any] = {"cwd": self.directory, "env": self.environment(), "text": True}
        fixed["stdin"] = subprocess.DEVNULL
        return subprocess.Popen(self.command(*words), **{**fixed, **more})

    def run(self, *words: str | pathlib.Path, **more: Any) -> Result:
        """Run a command to its end."""
        with self.start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more) as process:
            out, err = process.communicate(timeout=60)
        return Result(process.returncode, out, err)

    def ocishim(self, *words: str | pathlib.Path, **more: Any) -> Result:
        """Run ocishim."""
        return self.run(OCISHIM, *words, **more)

    def names(self) -> set[str]:
        """Give what lies in the directory, besides what makes this person one."""
        names = {path.name for path in self.directory.iterdir()} - {"config.toml"}
        return {name for name in names if not name.startswith(("fuse.", "etc."))}

    def end(self) -> None:
        """Remove the directory, once what views have made in it is gone."""
        assert wait_for(lambda: not any(name.startswith(".ocishim") for name in self.names()))
        shutil.rmtree(self.directory)


def directory() -> pathlib.Path:
    """Make a directory for a person: not below pytest's own, which only root may enter."""
    made = pathlib.Path(tempfile.mkdtemp(prefix="ocishim-person-", dir="/tmp"))
    made.chmod(0o755)
    return made


@pytest.fixture(params=["root", "user"])
def person(request: pytest.FixtureRequest) -> Iterator[Person]:
    """Be root, then an ordinary user; what is left is removed."""
    made = Person(request.param, directory())
    yield made
    made.end()

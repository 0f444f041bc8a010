"""The ordinary user of a test run: made by its first process, with subordinate ids, and removed by it."""

import os
import pathlib
import pwd
import re
import shutil
import subprocess
import time

#: The variable by which the workers of a run know the name.
VARIABLE = "OCISHIM_TEST_USER"
_NAME = re.compile(r"ocishim-t(\d+)")


def make() -> None:
    """Make the user of this run; remove those that dead runs have left."""
    for entry in pwd.getpwall():
        match = _NAME.fullmatch(entry.pw_name)
        if match and (int(match[1]) == os.getpid() or not pathlib.Path("/proc", match[1]).exists()):
            _remove(entry.pw_name)
    name = f"ocishim-t{os.getpid()}"
    _change("useradd", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/bin/sh", name)
    os.environ[VARIABLE] = name


def remove() -> None:
    """Remove the user of this run."""
    _remove(os.environ.pop(VARIABLE))


def look() -> pwd.struct_passwd:
    """Give the user of this run."""
    assert VARIABLE in os.environ, "the tests make themselves a user: start them as root"
    return pwd.getpwnam(os.environ[VARIABLE])


def subordinate(path: str = "/etc/subuid") -> tuple[int, int]:
    """Give the first subordinate id of the user, and how many there are."""
    for line in pathlib.Path(path).read_text().splitlines():
        name, first, count = line.split(":")
        if name == os.environ[VARIABLE]:
            return int(first), int(count)
    raise AssertionError(f"useradd granted no ids in {path}: SUB_UID_COUNT of /etc/login.defs")


def _remove(name: str) -> None:
    try:
        uid = pwd.getpwnam(name).pw_uid
    except KeyError:  # another run was faster
        return
    shutil.rmtree(f"/tmp/ocishim-{uid}", ignore_errors=True)
    _change("userdel", "--force", name, gone=6)


def _change(*command: str, gone: int = 0) -> None:
    """Run a program of shadow; another run may have locked the files, or (status `gone`) done the same."""
    end = time.monotonic() + 60
    while True:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode in (0, gone):
            return
        if "lock" not in done.stderr or time.monotonic() > end:
            raise AssertionError(f"{' '.join(command)}: {done.stderr}")
        time.sleep(0.2)

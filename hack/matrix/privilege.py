"""As whom something is done: root, a user, or root of a user's own namespace; each in a child process."""

import json
import os
import select
import signal
import time
import traceback
from collections.abc import Callable
from typing import Any

from . import calls

ROOT, USERNS, USER = "root", "userns", "user"
#: The unprivileged user, as the initial user namespace knows it: nobody.
NOBODY = 65534


def run(privilege: str, function: Callable[[], Any], limit: float) -> Any:
    """Call a function in a child with this privilege and a mount namespace of its own; give what it gave.

    Raises ChildError if it raised or died, TimeoutError after `limit` seconds. Everything the child has
    started ends with it.
    """
    out, into = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        _child(privilege, function, into)
    os.close(into)
    try:
        text = _read(out, time.monotonic() + limit)
    finally:
        os.close(out)
        for kill in (os.killpg, os.kill):
            try:
                kill(child, signal.SIGKILL)
            except ProcessLookupError:
                continue
        os.waitpid(child, 0)
    if not text:
        raise ChildError("died without a word")
    answer = json.loads(text)
    if "raised" in answer:
        raise ChildError(answer["raised"])
    return answer["gave"]


class ChildError(Exception):
    """A bug of the matrix itself: its child raised what nobody expected."""


def _read(out: int, end: float) -> bytes:
    text = b""
    while True:
        if not select.select([out], [], [], max(0, end - time.monotonic()))[0]:
            raise TimeoutError("no answer in time")
        chunk = os.read(out, 65536)
        if not chunk:
            return text
        text += chunk


def _child(privilege: str, function: Callable[[], Any], into: int) -> None:
    try:
        os.setsid()
        enter(privilege)
        calls.die_with_parent()  # after the change of the uid, which would undo it
        answer = {"gave": function()}
    except BaseException as e:
        answer = {"raised": f"{type(e).__name__}: {e}\n{traceback.format_exc()}"}
    try:
        data = json.dumps(answer).encode()
        while data:
            data = data[os.write(into, data) :]
    finally:
        os._exit(0)


def enter(privilege: str) -> None:
    """Take a mount namespace, and before it, for USERNS, a user namespace in which nobody is root.

    USER is nobody, without a user namespace.
    """
    if privilege == USERNS:
        _be_nobody()
        calls.unshare(calls.CLONE_NEWUSER | calls.CLONE_NEWNS)
        for file, text in (
            ("setgroups", "deny"),
            ("uid_map", f"0 {NOBODY} 1"),
            ("gid_map", f"0 {NOBODY} 1"),
        ):
            with open(f"/proc/self/{file}", "w") as mapping:
                mapping.write(text)
    else:
        calls.unshare(calls.CLONE_NEWNS)
    calls.mount("", "/", "", calls.MS_REC | calls.MS_PRIVATE)
    if privilege == USER:
        _be_nobody()
    os.umask(0o022)


def _be_nobody() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    calls.be_dumpable()

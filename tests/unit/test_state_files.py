"""What is read of a runtime's state directory, which may be somebody else's work."""

import os
import pathlib
from collections.abc import Callable

import pytest

from ocishim.idmap import MADE
from ocishim.probe import state


def _fifo(path: pathlib.Path) -> None:
    os.mkfifo(path)


def _endless(path: pathlib.Path) -> None:
    path.symlink_to("/dev/zero")


def _huge(path: pathlib.Path) -> None:
    path.write_text(MADE)
    os.truncate(path, 1 << 40)


def _directory(path: pathlib.Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [_fifo, _endless, _huge, _directory])
@pytest.mark.parametrize(
    ("kind", "name"),
    [("runc", "c1/state.json"), ("crun", "c1/config.json"), ("runsc", "c1_sandbox:c1.state")],
)
def test_what_is_no_state_is_not_read(
    tmp_path: pathlib.Path, make: Callable[[pathlib.Path], None], kind: str, name: str
) -> None:
    (tmp_path / "c1").mkdir()
    make(tmp_path / name)

    assert state.look(str(tmp_path), kind, "c1") is None


@pytest.mark.parametrize(
    ("text", "pid", "is_joined"),
    [
        (f'{{"init_process_pid": 7, "labels": ["{MADE}=ocishim\'s"]}}', 7, False),
        (f'{{"init_process_pid": 7, "labels": ["{MADE}=joined"]}}', 7, True),
        (f'{{"init_process_pid": 7, "annotations": {{"{MADE}": "joined"}}}}', 7, True),
        (f'{{"init_process_pid": -7, "labels": ["{MADE}"]}}', 0, False),
        (f'{{"init_process_pid": "7", "labels": ["{MADE}"]}}', 0, False),
        (f"{'[' * 200_000} {MADE}", 0, False),
    ],
)
def test_the_process_and_the_mark(tmp_path: pathlib.Path, text: str, pid: int, is_joined: bool) -> None:
    (tmp_path / "c1").mkdir()
    (tmp_path / "c1/state.json").write_text(text)

    made = state.look(str(tmp_path), "runc", "c1")

    assert made
    assert (made.pid, made.is_joined) == (pid, is_joined)

"""What is known of a FUSE server that stops to answer: what it did before that, and which request hung."""

import pathlib
import time
from collections.abc import Iterator

import pytest

from ocishim import linux
from ocishim.probe import scratch, served

REST = [name for name in scratch.OPERATIONS if name != "read"]


def test_a_request_that_hangs_is_given_up_with_all_after_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def operate() -> Iterator[tuple[str, str]]:
        yield "read", "EIO"
        time.sleep(60)

    unmounted: list[str] = []
    (tmp_path / "m").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(served, "PATIENCE", 0.3)
    monkeypatch.setattr(scratch, "operate", operate)
    monkeypatch.setattr(linux, "umount", unmounted.append)

    found = served._ask()

    assert found == {"list": "", "read": "EIO", **dict.fromkeys(REST, "ETIMEDOUT")}
    assert unmounted == ["m"]


def test_where_the_first_request_fails_there_are_no_others(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(linux, "umount", lambda _: None)

    assert served._ask() == {"list": "ENOENT"}

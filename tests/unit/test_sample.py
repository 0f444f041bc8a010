"""The order in which a file of a lower layer is looked at."""

import os
import pathlib
from typing import Any

import pytest

from ocishim.probe import layer, sample


def test_a_file_is_read_through_the_overlay_before_it_is_opened_below(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hostfs of kernel 5.10 lets an overlay read what is open below already, and nothing else."""
    for name in ("lower", "merged"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("content")
        os.utime(tmp_path / name / "file", ns=(7, 7))
    found = layer.look("lowerdir", "lower", str(tmp_path))
    opened = []
    really_open = os.open

    def open_(path: str, *arguments: Any, **named: Any) -> int:
        opened.append(os.path.realpath(path))
        return really_open(path, *arguments, **named)

    monkeypatch.setattr(os, "open", open_)
    failed = sample.read(found, str(tmp_path / "merged"))

    assert failed == []
    files = [path for path in opened if path.endswith("/file")]
    assert files[0] == str(tmp_path / "merged/file")
    assert str(tmp_path / "lower/file") in files

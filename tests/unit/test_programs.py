"""What programs say of themselves, and that nobody waits for one that does not."""

import pathlib
import time

import pytest

from ocishim.probe import programs


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("runc version 1.1.5\nspec: 1.0.2\n", "runc version 1.1.5"),
        ("fusermount3 version: 3.14\nfuse-overlayfs: version 1.10\n", "fuse-overlayfs: version 1.10"),
        ("usage: x\n", ""),
        ("", ""),
        (f"x version {'1' * 100}", f"x version {'1' * 70}"),
    ],
)
def test_version(said: str, version: str) -> None:
    assert programs.version(said) == version


@pytest.mark.parametrize(
    ("said", "features"),
    [
        ('{"ociVersionMin": "1.0.0", "ociVersionMax": "1.2.0", "mountOptions": ["ro", "rro"]}',
         (("1.0.0", "1.2.0"), ("ro", "rro"))),
        ('{"ociVersionMin": "1.0.0", "ociVersionMax": "1.2.0"}', (("1.0.0", "1.2.0"), ())),
        ('{"ociVersionMin": 1, "mountOptions": [1]}', ((), ())),
        ("[]", ((), ())),
        ("unknown command features", ((), ())),
        ("[" * 100_000, ((), ())),
        ("", ((), ())),
    ],
)  # fmt: skip
def test_features(said: str, features: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    assert programs.features(said) == features


def test_all_are_asked_at_once_and_none_is_waited_for_too_long(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "PATIENCE", 0.5)
    for name, script in (("quick", 'echo "$1"'), ("slow", "sleep 30"), ("slower", "sleep 30")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    start = time.monotonic()
    found = programs.ask((f"{tmp_path}/{name}", "features") for name in ("slow", "quick", "slower", "gone"))

    assert found == {(f"{tmp_path}/quick", "features"): "features\n"}
    assert time.monotonic() - start < 5

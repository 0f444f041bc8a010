"""Overlays in containers, as they are run: by each runtime and backend, for root, a user, and `unshare -r`."""

import pytest
from anywhere.people import OwnBundle, Person
from harness import Result


def test_a_container_works_in_its_overlay(
    person: Person, bundle: OwnBundle, runtime: str, backend: str
) -> None:
    top, bottom = bundle.layer("top", both="top\n"), bundle.layer("bottom", both="bottom\n", two="2\n")
    for name in ("gone", "moved", "again"):
        (bottom / name / "below").mkdir(parents=True)
        (bottom / name / "below" / "file").write_text("file\n")
    person.own_all(bottom)
    for name in ("upper", "work"):
        bundle.layer(name)
    bundle.overlay("lowerdir=top:bottom", "upperdir=upper", "workdir=work")
    bundle.work(
        """cd /ov
        cat both two
        echo new >new
        cp -r moved mine; mv mine mine-moved; cat mine-moved/below/file
        rm -r gone again; mkdir again; ls -A again
        mv two renamed; ls"""
    )

    result = person.container(runtime, bundle, "--overlay", backend)

    assert result == Result(0, "top\n2\nfile\nagain\nboth\nmine-moved\nmoved\nnew\nrenamed\n", "")
    assert (bundle.directory / "upper/new").read_text() == "new\n"
    assert sorted(p.name for p in top.iterdir()) == ["both"]
    assert sorted(p.name for p in bottom.iterdir()) == ["again", "both", "gone", "moved", "two"]


@pytest.mark.parametrize("status", [0, 42])
def test_status_and_streams_are_the_container_s(
    person: Person, bundle: OwnBundle, runtime: str, status: int
) -> None:
    bundle.overlay()
    bundle.work(f"echo out; echo err >&2; exit {status}")

    result = person.container(runtime, bundle)

    assert result == Result(status, "out\n", "err\n")

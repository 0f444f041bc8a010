"""Overlays in containers, for root, an ordinary user, and under `unshare -r`."""

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


def test_several_overlays_and_read_only_ones(
    person: Person, bundle: OwnBundle, runtime: str, backend: str
) -> None:
    for name in ("one", "two", "three"):
        bundle.layer(name, **{name: f"{name}\n", "all": f"{name}\n"})
    bundle.overlay(lower="one", upper="upper1")
    bundle.overlay(lower="two", upper="upper2", destination="/ov2")
    bundle.overlay("lowerdir=two:three", destination="/ov3")
    bundle.spec["root"]["readonly"] = True
    bundle.work("cat /ov/all /ov2/all /ov3/all; echo 1 >/ov/new; echo 2 >/ov2/new; ls /ov /ov2 /ov3 | xargs")
    tried = "for file in /ov3/new /new; do touch $file || echo $?; done"
    bundle.spec["process"]["args"][2] += f"; {tried}"

    result = person.container(runtime, bundle, "--overlay", backend)

    refused = "".join(f"touch: {file}: Read-only file system\n" for file in ("/ov3/new", "/new"))
    listed = "/ov: all new one /ov2: all new two /ov3: all three two"
    assert result == Result(0, f"one\ntwo\ntwo\n{listed}\n1\n1\n", refused)
    written = [(bundle.directory / f"upper{number}/new").read_text() for number in (1, 2)]
    assert written == ["1\n", "2\n"]


@pytest.mark.parametrize("status", [0, 42])
def test_status_and_streams_are_the_container_s(
    person: Person, bundle: OwnBundle, runtime: str, status: int
) -> None:
    bundle.overlay()
    bundle.work(f"echo out; echo err >&2; exit {status}")

    result = person.container(runtime, bundle)

    assert result == Result(status, "out\n", "err\n")

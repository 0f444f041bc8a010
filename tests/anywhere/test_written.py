"""The bundles that the runtimes' own `spec` writes, with an overlay besides: they run as they are."""

import json

import pytest
from anywhere.people import OwnBundle, Person
from harness import ROOTFS, Result

#: Who runs a bundle, and what has written it. What `crun spec --rootless` writes is for crun alone: a user
#: namespace without maps.
PAIRS = [
    ("runc", "runc spec"),
    ("runc", "runc spec --rootless"),
    ("crun", "crun spec"),
    ("crun", "crun spec --rootless"),
    ("crun", "runc spec --rootless"),
    ("runsc", "runsc spec -- true"),
    ("runsc", "runc spec"),
    ("runsc", "runc spec --rootless"),
]


@pytest.mark.parametrize(("runtime", "writer"), PAIRS)
def test_a_bundle_as_it_was_written(person: Person, bundle: OwnBundle, runtime: str, writer: str) -> None:
    written = person.run(writer.split()[0], writer.split(), cwd=bundle.directory)
    assert written == Result(0, "", "")
    bundle.spec = json.loads((bundle.directory / "config.json").read_text())
    bundle.spec["root"]["path"] = str(ROOTFS)
    bundle.spec["process"] |= {"terminal": False}
    bundle.layer("lower", file="x\n")
    bundle.overlay()
    more = "/dev/pts" if not writer.startswith("runsc") else "/proc/self"
    bundle.work(f"cat /ov/file; ls -d {more} /sys/kernel; mkdir /ov/d; mv /ov/d /ov/e; rm -r /ov/e; ls /ov")

    result = person.container(runtime, bundle)

    assert result == Result(0, f"x\n{more}\n/sys/kernel\nfile\n", "")

"""Bad input from the command line to the log: status 1, one line, one record, nothing started or written."""

import json
import pathlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from harness import OCISHIM, Bundle, Host

#: Changes a good bundle; true if it wrote config.json itself.
Change = Callable[[Bundle], bool | None]


def options(*words: str) -> Change:
    def change(bundle: Bundle) -> None:
        bundle.spec["mounts"][1]["options"] = list(words)

    return change


def text(content: bytes) -> Change:
    def change(bundle: Bundle) -> bool:
        (bundle.directory / "config.json").write_bytes(content)
        return True

    return change


def missing(bundle: Bundle) -> bool:
    (bundle.directory / "config.json").unlink()
    return True


def large(bundle: Bundle) -> bool:
    with (bundle.directory / "config.json").open("wb") as file:
        file.truncate(50 << 20)
    return True


def loop(bundle: Bundle) -> None:
    (bundle.directory / "loop").symlink_to("loop")
    options("lowerdir=loop")(bundle)


def inside(bundle: Bundle) -> None:
    options("lowerdir=lower", "upperdir=upper", "workdir=upper/in")(bundle)
    bundle.layer("upper/in")


def namespace(bundle: Bundle) -> None:
    bundle.spec["linux"]["namespaces"][3]["path"] = "/proc/1/ns/mnt"


def entry(**fields: Any) -> Change:
    def change(bundle: Bundle) -> None:
        bundle.spec["mounts"][1].update(fields)

    return change


def mounts(value: Any) -> Change:
    def change(bundle: Bundle) -> None:
        bundle.spec["mounts"] = value

    return change


CORRECT = (
    "correct the path, or make the directory; ocishim takes relative ones from the bundle; "
    "ocishim explain OVL-LOW-21"
)
#: What is done to a good bundle, and the line that answers; B is the bundle's path.
CASES: dict[str, tuple[Change, str]] = {
    "no config.json": (
        missing,
        "B/config.json: does not exist; a bundle holds a config.json",
    ),
    "not JSON": (
        text(b'{"mounts": [,]}'),
        "B/config.json: not the JSON of a spec: no value, at line 1, column 13; correct it; "
     "ocishim explain OVL-RUN-08",
    ),
    "not an object": (text(b"[]"), "B/config.json: not a JSON object; a spec is { … }; "
     "ocishim explain OVL-RUN-08"),
    "50 MB": (large, "B/config.json: 50 MiB; a spec has 16 MiB at most"),
    "nested": (text(b"[" * 100_000), "B/config.json: not the JSON of a spec: nested too deep; correct it; "
     "ocishim explain OVL-RUN-08"),
    "twice": (
        text(b'{"mounts": [], "mounts": []}'),
        'B/config.json: not the JSON of a spec: key "mounts" stands twice in one object; correct it; '
     'ocishim explain OVL-RUN-08',
    ),
    "not UTF-8": (text(b'{"a": "\xff"}'), "B/config.json: not UTF-8 at byte 7; correct it; "
     "ocishim explain OVL-RUN-08"),
    "mounts": (mounts({"a": 1}), "mounts: object instead of an array; write [ … ]; "
     "ocishim explain OVL-RUN-08"),
    "no lowerdir": (
        options("upperdir=upper", "workdir=work"),
        "mounts[1].options: overlay without lowerdir; add lowerdir=DIR[:DIR…]; ocishim explain OVL-OPT-19",
    ),
    "no workdir": (
        options("lowerdir=lower", "upperdir=upper"),
        "mounts[1].options: upperdir=upper without workdir; add workdir=DIR on the same filesystem; "
     "ocishim explain OVL-OPT-19",
    ),
    "workdir in upperdir": (
        inside,
        "mounts[1]: workdir=B/upper/in lies inside upperdir=B/upper; make them siblings; "
        "ocishim explain OVL-OPT-11",
    ),
    "workdir is upperdir": (
        options("lowerdir=lower", "upperdir=upper", "workdir=upper"),
        "mounts[1]: workdir=B/upper is upperdir; make them siblings; ocishim explain OVL-OPT-11",
    ),
    "workdir elsewhere": (
        options("lowerdir=lower", "upperdir=upper", "workdir=/dev/shm"),
        "mounts[1]: workdir=/dev/shm and upperdir=B/upper are on different file systems; "
        "put both into one directory below one mount; ocishim explain OVL-OPT-10",
    ),
    "missing layer": (
        options("lowerdir=lower:none"),
        f"mounts[1]: lowerdir=B/none: does not exist; {CORRECT}",
    ),
    "file": (
        options("lowerdir=config.json"),
        "mounts[1]: lowerdir=B/config.json is not a directory; bind the file, or mount the image and name "
        "the directory; ocishim explain OVL-LOW-19",
    ),
    "symlink loop": (
        loop,
        f"mounts[1]: lowerdir=B/loop: ELOOP, symbolic links or layers that contain each other; {CORRECT}",
    ),
    "overlap": (
        options("lowerdir=lower:lower/in"),
        "mounts[1]: lowerdir=B/lower/in lies inside lowerdir=B/lower; "
        "name each directory once and use separate trees; ocishim explain OVL-OPT-12",
    ),
    "same layer": (
        options("lowerdir=lower:lower"),
        "mounts[1]: lowerdir=B/lower is the same directory as lowerdir=B/lower; "
        "name each directory once and use separate trees; ocishim explain OVL-OPT-12",
    ),
    "unknown option": (
        options("lowerdir=lower", "colour=red"),
        'mounts[1].options[1]: unknown overlay option "colour=red"; remove it; ocishim explain OVL-OPT-25',
    ),
    "bad value": (
        options("lowerdir=lower", "xino=maybe"),
        'mounts[1].options[1]: "xino=maybe" is none of on, off, auto; write xino=on; '
     'ocishim explain OVL-OPT-25',
    ),
    "contradiction": (
        options("lowerdir=lower", "ro", "rw"),
        'mounts[1].options[2]: "rw" contradicts an earlier option; keep one of the two',
    ),
    "NUL": (
        options("lowerdir=a\0b"),
        "mounts[1].options[0]: NUL in it; no path or option can hold it",
    ),
    "destination": (
        entry(destination="ov"),
        'mounts[1].destination: "ov" is not absolute; write the path inside the container, from /',
    ),
    "mount namespace": (
        namespace,
        "linux.namespaces[3].path: /proc/1/ns/mnt: an overlay would not be seen in a mount namespace made by "
        "others; remove the path",
    ),
    "case": (
        lambda bundle: bundle.spec.update(Mounts=[]),
        'Mounts: runc and runsc would read it as "mounts", crun would not; write "mounts"',
    ),
}  # fmt: skip


@pytest.mark.parametrize("log_format", ["json", "text"])
@pytest.mark.parametrize("case", CASES)
def test_bad_input(host: Host, bundle: Bundle, tmp_path: pathlib.Path, case: str, log_format: str) -> None:
    change, expected = CASES[case]
    bundle.layer("lower/in")
    bundle.overlay("lowerdir=lower", "upperdir=upper", "workdir=work")
    for name in ("upper", "work"):
        bundle.layer(name)
    path = bundle.path
    if not change(bundle):
        assert path == bundle.path
    expected = f"ocishim: {expected.replace('B/', path + '/')}"
    witness = tmp_path / "runc"
    witness.write_text("#!/bin/sh\ntouch started\n")
    witness.chmod(0o755)
    log = tmp_path / "log"
    before = sorted(bundle.directory.rglob("*"))

    words = ["--log", str(log), "--log-format", log_format, "create", "--bundle", path, "c1"]
    result = host.run("runc", [OCISHIM, "--runtime", witness, *words], cwd=tmp_path)

    assert (result.status, result.out, result.err) == (1, "", f"{expected}\n")
    assert sorted(bundle.directory.rglob("*")) == before
    assert not (tmp_path / "started").exists()
    [record] = log.read_text().splitlines()
    if log_format == "json":
        got = json.loads(record)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", got.pop("time"))
        assert got == {"level": "error", "msg": expected}
    else:
        assert re.fullmatch(r'time="[^"]+" level=error msg=".*"', record)
        assert json.loads(record.partition(" msg=")[2]) == expected

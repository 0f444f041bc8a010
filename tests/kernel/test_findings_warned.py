"""Findings that doctor BUNDLE tells of an overlay that starts, made to happen on this machine."""

import dataclasses
import json
import pathlib
import re
import sys

import pytest
from kernel.asked import RW, USER, Case, ask

from ocishim import findings

PROGRAM = pathlib.Path(__file__).with_name("diagnosing.py")
ON_K = ("lowerdir=l", "upperdir=k/u", "workdir=k/w")
FUSE_ON_O = "mkdir o o-u o-w; fuse-overlayfs -o lowerdir=$PWD/l,upperdir=$PWD/o-u,workdir=$PWD/o-w o"
#: The finding, how it is made, what is said: mark, what and why.
CASES: dict[str, tuple[Case, str]] = {
    "OVL-KRN-06": (
        Case("", "", ("lowerdir=l",)),
        "ok lowerdir=B/l is the only layer: an empty one is put under it",
    ),
    "OVL-LOW-03": (
        Case("mount -t tmpfs t l/d", ""),
        "? lowerdir=B/l: what is mounted on B/l/d is not part of the overlay",
    ),
    "OVL-LOW-13": (
        Case("overlay o l", "", ("lowerdir=o-u:l", *RW[1:])),
        "? lowerdir=B/o-u: the overlay on B/o writes to it, and what the overlay then shows is undefined",
    ),
    "OVL-LOW-13 workdir": (
        Case("overlay o l", "", ("lowerdir=o-w:l", *RW[1:])),
        "? lowerdir=B/o-w: the overlay on B/o writes to it, and what the overlay then shows is undefined",
    ),
    "OVL-LOW-13 fuse": (
        Case(f"{FUSE_ON_O}", "", ("lowerdir=o-u:l", *RW[1:])),
        "? lowerdir=B/o-u: PID writes to it, and what the overlay then shows is undefined",
    ),
    "OVL-LOW-13 read-only": (
        Case("overlay o l; mount --bind o-u o-u; mount -o remount,bind,ro o-u", "", ("lowerdir=o-u:l",)),
        "? lowerdir=B/o-u: the overlay on B/o writes to it, and what the overlay then shows is undefined",
    ),
    "OVL-LOW-14": (
        Case("overlay o l", "", ("lowerdir=o", *RW[1:])),
        "ok lowerdir=B/o: no file handles (EOPNOTSUPP)",
    ),
    "OVL-LOW-15": (
        Case("mkdir m; mount -t tmpfs t m; echo x >m/x", "", ("lowerdir=l:m", *RW[1:])),
        "? layers on several file systems: inode numbers change when a file is copied up",
    ),
    "OVL-LOW-15 off": (
        Case("mkdir m; mount -t tmpfs t m; echo x >m/x", "", ("lowerdir=l:m", *RW[1:], "xino=off")),
        "? layers on several file systems: inode numbers change when a file is copied up",
    ),
    "OVL-LOW-16": (
        Case("ln l/f l/d/name; ln l/f l/name; ln l/e/h outside", ""),
        "? lowerdir=B/l: a file with several names: changing one leaves the others as they were",
    ),
    "OVL-LOW-16 two": (
        Case("ln l/f l/name; ln l/d/g l/e/name", ""),
        "? lowerdir=B/l: 2 files with several names: changing one leaves the others as they were",
    ),
    "OVL-LOW-17": (
        Case(
            "disk k 1M mkfs.ext4 -q; umount k; cp k.img m.img; mkdir m; mount -o loop k.img k; "
            "mount -o loop m.img m",
            "",
            ("lowerdir=k:m", *RW[1:]),
        ),
        "ok lowerdir=B/m has the same file system UUID as lowerdir=B/k: no index, nfs_export and xino=auto",
    ),
    "OVL-LOW-17 none": (
        Case(
            "for n in k m; do mksquashfs l $n.img -quiet -no-progress; mkdir $n; mount -o loop $n.img $n; "
            "done",
            "",
            ("lowerdir=k:m", *RW[1:]),
        ),
        "ok lowerdir=B/m has the same file system UUID as lowerdir=B/k: no index, nfs_export and xino=auto",
    ),
    "OVL-LOW-18": (
        Case("overlay o l", "", ("lowerdir=o", *RW[1:])),
        "ok lowerdir=B/o: a lower layer is an overlay itself",
    ),
    "OVL-OPT-24": (
        Case("", "", (*RW, "verity=on")),
        "? verity: it checks files copied up by metadata only, and metacopy is off",
    ),
    "OVL-UNS-01 warning": (
        Case("chown 1234 l/d", "", ("lowerdir=l",), who=USER),
        "? lowerdir=B/l: B/l/d belongs to an owner who is not mapped",
    ),
    "OVL-UNS-02": (
        Case("chown -R 1234 l", "", ("lowerdir=l",), who=USER),
        "? lowerdir=B/l: its owner is not mapped in this user namespace",
    ),
    "OVL-UNS-06": (
        Case("overlay o l; mkdir o/u o/w", "", ("lowerdir=l", "upperdir=o/u", "workdir=o/w")),
        "? workdir=B/o/w: no whiteouts (EPERM)",
    ),
    "OVL-UNS-09": (
        Case("mount -t tmpfs -o noexec,nodev t l; echo x >l/x", ""),
        "? lowerdir=B/l: its mount has noexec, nodev, which the overlay has not",
    ),
    "OVL-UPP-12 warning": (
        Case("mkdir k; mount -t tmpfs -o size=1m t k; mkdir k/u k/w", "", ON_K),
        "? upperdir=B/k/u: 1 MiB are free",
    ),
    "OVL-UPP-13": (
        Case("with=noacl disk k 114M mkfs.btrfs -q; mkdir k/u k/w", "", ON_K),
        "? workdir=B/k/w: no POSIX ACLs (EOPNOTSUPP)",
    ),
    "OVL-UPP-15": (
        Case("with=usrquota disk k 32M mkfs.ext4 -q; mkdir k/u k/w", "", ON_K),
        "? upperdir=B/k/u: mounted with usrquota",
    ),
    "OVL-UPP-17": (
        Case("mkdir k; fuse-overlayfs -o lowerdir=l,upperdir=u,workdir=w k; mkdir k/u k/w", "", ON_K),
        "? workdir=B/k/w: no O_TMPFILE (EOPNOTSUPP)",
    ),
}


#: What looks like a finding and is none.
FINE: dict[str, Case] = {
    "OVL-LOW-13 unmounted": Case("overlay o l; umount o", "", ("lowerdir=o-u:l", *RW[1:])),
    "OVL-LOW-13 only read": Case("overlay o l", ""),
    "OVL-LOW-15 one file system": Case(
        "mkdir m; mount --bind m m; echo x >m/x", "", ("lowerdir=l:m", *RW[1:])
    ),
    "OVL-LOW-15 xino": Case("mkdir m; mount -t tmpfs t m", "", ("lowerdir=l:m", *RW[1:], "xino=on")),
    "OVL-LOW-16 index": Case("ln l/f l/name", "", (*RW, "index=on")),
    "OVL-LOW-16 outside": Case("ln l/f outside", ""),
    "OVL-LOW-16 read-only": Case("ln l/f l/name", "", ("lowerdir=l",)),
    "OVL-LOW-17 one file system": Case("mkdir m", "", ("lowerdir=l:m", *RW[1:])),
    "OVL-UNS-09 kept": Case("mount -t tmpfs -o noexec t l; echo x >l/x", "", (*RW, "noexec")),
}


@pytest.mark.parametrize("name", FINE)
def test_what_is_fine_is_not_warned_of(tmp_path: pathlib.Path, name: str) -> None:
    program = f"{sys.executable} -I {PROGRAM}"

    asked = ask(dataclasses.replace(FINE[name], ask="", program=program), tmp_path / "b")

    assert [line for line in json.loads(asked.stdout) if line["page"] == name[:10]] == []


@pytest.mark.parametrize("name", CASES)
def test_a_warning_is_a_line_with_its_page(tmp_path: pathlib.Path, name: str) -> None:
    (case, expected), bundle = CASES[name], tmp_path / "b"
    program = f"{sys.executable} -I {PROGRAM}"

    asked = ask(dataclasses.replace(case, ask="", program=program), bundle)

    text = re.sub(r"pid \d+ \([\w-]+\)", "PID", asked.stdout)
    said = [line for line in json.loads(text) if line["page"] == name[:10]]
    remedy = findings.get(name[:10]).remedy if expected[0] == "?" else ""
    line = {"page": name[:10], "said": expected.replace("B/", f"{bundle}/"), "remedy": remedy}
    assert line in said, asked.stdout


def test_doctor_tells_them_too(tmp_path: pathlib.Path) -> None:
    """The whole program once, with the status of a bundle that would start."""
    case, _ = CASES["OVL-LOW-03"]

    asked = ask(dataclasses.replace(case, ask="doctor ."), tmp_path / "b")

    assert asked.returncode == 0
    assert "is not part of the overlay" in " ".join(asked.stdout.split())
    assert "OVL-LOW-03" in asked.stdout


@pytest.mark.parametrize("form", ["json", "text"])
def test_plan_tells_who_writes_to_a_lower_layer(tmp_path: pathlib.Path, form: str) -> None:
    bundle = tmp_path / "b"
    case, _ = CASES["OVL-LOW-13"]

    asked = ask(dataclasses.replace(case, ask=f"plan --format {form} --runtime true ."), bundle)

    lower, by = f"{bundle}/o-u", f"the overlay on {bundle}/o"
    if form == "json":
        assert [mount["writers"] for mount in json.loads(asked.stdout)["mounts"]] == [{lower: by}]
    else:
        assert f"undefined {by} writes to lowerdir={lower} (OVL-LOW-13)" in " ".join(asked.stdout.split())


def test_a_container_starts_on_a_lower_layer_that_is_written_to(tmp_path: pathlib.Path) -> None:
    case, _ = CASES["OVL-LOW-13"]

    asked = ask(dataclasses.replace(case, ask="--runtime true create --bundle . c1"), tmp_path / "b")

    assert (asked.returncode, asked.stdout, asked.stderr) == (0, "", "")

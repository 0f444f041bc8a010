"""The index in a workdir: its own upper layer's is taken, a copied one refused, as the kernel does it."""

import pathlib

import pytest
from kernel.asked import Case, ask

FILESYSTEMS = {
    "ext4": "disk k 8M mkfs.ext4 -q",
    "xfs": "disk k 300M mkfs.xfs -q",
    "btrfs": "disk k 114M mkfs.btrfs -q",
    "tmpfs": "mkdir k; mount -t tmpfs t k",
}
#: An upper layer with an index, and a copy of both; `mounts` says what the kernel makes of a mount.
MADE = """
    cd k; mkdir l u w o; echo lower >l/f; ln l/f l/name; cd ..
    mounts() { mount -t overlay -o "lowerdir=k/l,upperdir=k/$1,workdir=k/$2,$3=on" x k/o && umount k/o; }
    mount -t overlay -o lowerdir=k/l,upperdir=k/u,workdir=k/w,index=on x k/o; echo more >>k/o/f; umount k/o
    cp -a k/u k/u2; cp -a k/w k/w2
"""


@pytest.mark.parametrize("option", ["index", "nfs_export"])
@pytest.mark.parametrize("kind", FILESYSTEMS)
def test_it_is_judged_as_the_kernel_does(tmp_path: pathlib.Path, kind: str, option: str) -> None:
    make = f"{FILESYSTEMS[kind]}; {MADE}"
    for upper, work, status in (("u", "w", 0), ("u2", "w2", 1), ("u", "w2", 0), ("u2", "w", 1)):
        options = ("lowerdir=k/l", f"upperdir=k/{upper}", f"workdir=k/{work}", f"{option}=on")
        says = f"if mounts {upper} {work} {option} 2>/dev/null; then echo well; else echo refused; fi"

        asked = ask(Case(f"{make}{says}", "", options), tmp_path / f"{upper}-{work}")

        expected = ("well\n", 0) if not status else ("refused\n", 1)
        assert (asked.stdout, asked.returncode) == expected, asked.stderr
        assert ("OVL-OPT-15" in asked.stderr) == bool(status)

"""Overlays by fuse-overlayfs in real containers: what it is told, and what it makes."""

import os
import pathlib
import shutil

import pytest
from harness import Bundle, Host, Result
from kernel import rungs
from kernel.rungs import escape

NAMES = [
    "a:b,c\\d e",
    "\\:",
    "new\nline",
    "\"double\" 'single'",
    "größe-名前-\u2028",
    "form\x0cfeed\ttab#",
    "lowerdir=x",
    "-o",
]
FLAGS = [
    (["nosuid", "nodev", "noexec", "noatime"], {"rw", "nosuid", "nodev", "noexec", "noatime"}),
    (["strictatime", "nodiratime"], {"rw", "nodiratime"}),
    (["ro", "nodev"], {"ro", "nodev", "relatime"}),
    ([], {"rw", "relatime"}),
]
#: What an entry asks for, and what fuse-overlayfs is told of it.
TOLD = [
    ("volatile", ["volatile"]),
    ("redirect_dir=off", ["redirect_dir=off"]),
    ("index=off,metacopy=off,nfs_export=off,verity=off,xino=off,uuid=null", []),
    ("userxattr,default_permissions", []),
]
REFUSED = ["metacopy=on", "redirect_dir=on", "index=on", "nfs_export=on", "verity=on", "xino=on", "uuid=on"]


@pytest.mark.parametrize("count", [1, 2, 50, 500])
def test_a_list_of_layers_is_mounted_whole(host: Host, bundle: Bundle, count: int) -> None:
    names = [f"layer-{number:03}-{'x' * 200}" for number in range(count)]
    for number, name in enumerate(names):
        bundle.layer(name, top=f"{number}\n")
    bundle.layer(names[-1], last="last\n")
    bundle.layer("upper")
    bundle.layer("work")
    bundle.overlay(f"lowerdir={':'.join(names)}", "upperdir=upper", "workdir=work")
    bundle.spec["process"]["args"][2] = "cd /ov; cat last top; ls; echo new >new"

    result = rungs.run(host, bundle, mode="fuse")

    assert result == Result(0, "last\n0\nlast\ntop\n", "")
    assert (bundle.directory / "upper/new").read_text() == "new\n"


@pytest.mark.parametrize("name", NAMES)
def test_any_name_can_be_each_layer(host: Host, bundle: Bundle, name: str) -> None:
    top, bottom, upper, work = (f"{kind}{name}" for kind in ("t", "b", "u", "w"))
    upper = upper.replace(":", ";")
    bundle.layer(top, one="1\n")
    bundle.layer(bottom, one="0\n", two="2\n")
    bundle.layer(upper)
    bundle.layer(work)
    bundle.overlay(
        f"lowerdir={escape(top)}:{escape(bottom)}", f"upperdir={escape(upper)}", f"workdir={escape(work)}"
    )
    bundle.spec["process"]["args"][2] = "cd /ov; cat one two; rm two; echo new >new; ls"

    result = rungs.run(host, bundle, mode="fuse")

    assert result == Result(0, "1\n2\nnew\none\n", "")
    assert (bundle.directory / upper / "new").read_text() == "new\n"


def test_an_upper_with_a_colon_is_refused(host: Host, bundle: Bundle) -> None:
    """fuse-overlayfs resolves links in upperdir, then reads it as a list."""
    for name in ("lower", "u:u", "work"):
        bundle.layer(name)
    bundle.overlay("lowerdir=lower", "upperdir=u\\:u", "workdir=work")

    result = rungs.run(host, bundle, mode="fuse")

    assert result == Result(
        1,
        "",
        f"ocishim: mounts[1]: fuse-overlayfs cannot be given upperdir={bundle.directory}/u:u: it takes "
        'options apart at ":"; rename the directory or use the kernel\'s overlayfs; '
        "ocishim explain OVL-OPT-06\n",
    )


@pytest.mark.parametrize("length", [300, 3900])
def test_one_long_path(host: Host, bundle: Bundle, length: int) -> None:
    parts = [str(bundle.directory), "lower"]
    while (left := length - len("/".join(parts))) > 1:
        parts.append("d" * min(left - 1, 200 if left != 202 else 199))
    directory = "/".join(parts[1:])
    bundle.layer(directory, file="long\n")
    bundle.layer("upper")
    bundle.layer("work")
    bundle.overlay(f"lowerdir={directory}", "upperdir=upper", "workdir=work")
    bundle.spec["process"]["args"][2] = "cat /ov/file; echo new >>/ov/file"

    result = rungs.run(host, bundle, mode="fuse")

    assert result == Result(0, "long\n", "")
    assert (bundle.directory / "upper/file").read_text() == "long\nnew\n"


@pytest.mark.parametrize(
    "options",
    [["lowerdir=one"], ["lowerdir=one:two"], ["lowerdir=one:two", "upperdir=up", "workdir=work", "ro"]],
)
def test_read_only(host: Host, bundle: Bundle, options: list[str]) -> None:
    for name in ("two", "up", "work"):
        bundle.layer(name)
    bundle.layer("one", file="1\n")
    bundle.overlay(*options)
    bundle.spec["process"]["args"][2] = "cat /ov/file; ls /ov; echo x >/ov/new"

    result = rungs.run(host, bundle, mode="fuse")

    assert result == Result(1, "1\nfile\n", "sh: can't create /ov/new: Read-only file system\n")
    assert list((bundle.directory / "up").iterdir()) == []


@pytest.mark.parametrize(("flags", "shown"), FLAGS)
def test_flags_are_in_effect(host: Host, bundle: Bundle, flags: list[str], shown: set[str]) -> None:
    options = bundle.overlay()["options"]
    options += flags
    bundle.spec["process"]["args"] = ["grep", " /ov ", "/proc/self/mountinfo"]

    result = rungs.run(host, bundle, mode="fuse")

    fields = result.out.split(" ")
    assert (result.status, result.err, fields[fields.index("-") + 1]) == (0, "", "fuse.fuse-overlayfs")
    assert set(fields[5].split(",")) == shown


def _record(host: Host) -> pathlib.Path:
    """Put a fuse-overlayfs in place that writes its options down."""
    told = host.directory / "told"
    real = shutil.which("fuse-overlayfs")
    _server(host, f'echo "$@" >{told}\nexec {real} "$@"')
    return told


def _server(host: Host, script: str, mode: int = 0o755) -> pathlib.Path:
    """Make a program and have it taken for fuse-overlayfs."""
    program = host.directory / "fuse-overlayfs"
    program.write_text(f"#!/bin/busybox sh\nPATH=/usr/bin:/bin\n{script}\n")
    program.chmod(mode)
    host.set(f'fuse_overlayfs = "{program}"\n[runtimes.runc]\n')
    return program


@pytest.mark.parametrize(("asked", "translated"), TOLD)
def test_options_are_translated(host: Host, bundle: Bundle, asked: str, translated: list[str]) -> None:
    told = _record(host)
    options = bundle.overlay()["options"]
    options += asked.split(",")

    result = rungs.run(host, bundle, mode="fuse")

    words = told.read_text().split()
    assert result == Result(0, "", "")
    assert words[:3] == ["-f", "-o", words[2]]
    assert words[4].split(",")[3:] == translated


@pytest.mark.parametrize("option", REFUSED)
def test_options_that_it_cannot_do_are_refused_by_name(host: Host, bundle: Bundle, option: str) -> None:
    options = bundle.overlay()["options"]
    options.append(option)

    result = rungs.run(host, bundle, mode="fuse")

    assert result == Result(
        1,
        "",
        f"ocishim: mounts[1]: {option}, which fuse-overlayfs cannot do; take --overlay kernel, or "
        "remove it; ocishim explain OVL-OPT-20\n",
    )


def test_data_only_layers_are_refused(host: Host, bundle: Bundle) -> None:
    bundle.layer("one")
    bundle.layer("data")
    bundle.overlay("lowerdir=one::data")

    result = rungs.run(host, bundle, mode="fuse")

    assert result == Result(
        1,
        "",
        "ocishim: mounts[1]: data-only lower layers, which fuse-overlayfs cannot do; take --overlay "
        "kernel, or remove it; ocishim explain OVL-OPT-20\n",
    )


def test_an_option_that_this_release_ignores_is_refused(host: Host, bundle: Bundle) -> None:
    """The kernel and fuse-overlayfs both carry on without what they do not know; ocishim does not."""
    real = shutil.which("fuse-overlayfs")
    _server(host, f'echo "unknown argument ignored: volatile" >&2\nexec {real} "$@"')
    options = bundle.overlay()["options"]
    options.append("volatile")

    result = rungs.run(host, bundle, mode="fuse")

    assert result == Result(
        1,
        "",
        "ocishim: mounts[1]: fuse-overlayfs on /ov: this release does not know volatile; try --overlay "
        "kernel\n",
    )


def test_writes_of_the_container_keep_their_owner(host: Host, bundle: Bundle) -> None:
    bundle.overlay()
    bundle.spec["process"]["args"][2] = "touch /ov/f; chown 1000:1001 /ov/f; chmod 4750 /ov/f"

    result = rungs.run(host, bundle, mode="fuse")

    found = os.stat(bundle.directory / "upper/f")
    assert result == Result(0, "", "")
    assert (found.st_uid, found.st_gid, found.st_mode) == (1000, 1001, 0o104750)

"""Real work in an overlay, compared file by file with the same work in a plain directory.

Archives are worked on in each combination, and in a plain directory by a container of the same runtime and
person, since gVisor keeps no xattrs there. The work with git takes seconds: of crun, which makes the same
container as runc, and of runsc some combinations are left out. gVisor does not know sockets and fifos of the
host's directories, and fuse-overlayfs 1.10 cannot remove a lower layer's socket (ENXIO): they are not in
those trees.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import account
import pytest
from anywhere.people import BACKENDS, WHO, OwnBundle, Person

_DATES = {"GIT_AUTHOR_DATE": "1600000000 +0000", "GIT_COMMITTER_DATE": "1600000000 +0000"}
_GIT = """[user]
name = t
email = t@t
[init]
defaultBranch = main
[pack]
threads = 1
[safe]
directory = *
"""
_FILES = 2000
_WORK = pathlib.Path(__file__).with_name("work.py")
#: Runtime, backend, who.
_VERSIONS = [
    *(("runc", backend, who) for backend in BACKENDS for who in WHO),
    ("crun", "fuse", "root"),
    ("crun", "kernel", "user"),
    ("crun", "fuse", "unshare"),
    ("runsc", "kernel", "root"),
    ("runsc", "fuse", "user"),
]


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Make a repository of 2,000 files in two versions, bare."""
    home = tmp_path_factory.mktemp("repository")
    (home / ".gitconfig").write_text(_GIT)
    there = home / "repository"
    lines = []
    for version in ("old", "main"):
        lines += [f"commit refs/heads/{version}", "committer t <t@t> 1600000000 +0000", "data 0"]
        lines += ["from refs/heads/old"] if version == "main" else []
        for number in range(0, _FILES, 1 if version == "old" else 5):
            text = f"{version if number % 5 == 0 else ''}\n" * 20
            lines += [f"M 100644 inline {number % 20}/{number}", f"data {len(text)}", text]
    environ = os.environ | {"HOME": str(home)}
    subprocess.run(["git", "init", "--quiet", "--bare", there], check=True, env=environ)
    command = ["git", "-C", str(there), "fast-import", "--quiet"]
    subprocess.run(command, input="\n".join(lines), text=True, check=True, env=environ)
    for path in (there, *there.rglob("*")):
        os.utime(path, (10**9, 10**9))
    return there


@pytest.fixture(scope="session")
def versions(repository: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Work with git in a plain directory; give what is there then."""
    directory = tmp_path_factory.mktemp("versions")
    subprocess.run(["cp", "-a", repository, directory / "repository"], check=True)
    environ = os.environ | _DATES | {"HOME": str(repository.parent)}
    words = [sys.executable, "-IS", str(_WORK), str(directory), str(int(time.time()) - 2), "versions"]
    return json.loads(subprocess.run(words, check=True, env=environ, stdout=subprocess.PIPE).stdout)


def make_tree(directory: pathlib.Path, special: bool, sockets: bool) -> None:
    """Make a tree with all kinds of files, with times long ago."""
    for name in ("tree", "tree/gone/deep/deeper", "tree/opaque", "removed/below"):
        (directory / name).mkdir(parents=True)
    tree = directory / "tree"
    for name in ("file", "mode", "linked", "gone/deep/file", "gone/deep/deeper/file", "opaque/file"):
        (tree / name).write_text(f"{name}\n" * 100)
    (directory / "removed/below/file").write_text("x")
    os.link(tree / "linked", tree / "link")
    os.symlink("linked", tree / "symlink")
    os.symlink("nowhere", tree / "dangling")
    if special:
        os.mkfifo(tree / "fifo")
    with (tree / "sparse").open("wb") as file:
        file.truncate(10_000_000)
    for path in (tree / "file", tree / "linked", tree / "opaque", directory / "removed/below/file"):
        os.setxattr(path, "user.note", b"of the file")
    for name in ("tree/socket", "tree/gone/socket") if sockets else ():
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(directory / name))
    for path in [*directory.rglob("*"), directory]:
        os.utime(path, ns=(10**18 + 5, 10**18 + 7), follow_symlinks=False)


def make_package(directory: pathlib.Path) -> None:
    """Make a Debian package of a tree like that one, but for what packages cannot have."""
    root = directory / "root"
    for name in ("DEBIAN", "usr/share/doc", "etc"):
        (root / name).mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        "Package: t\nVersion: 1\nArchitecture: all\nMaintainer: t <t@t>\nDescription: t\n"
    )
    for number in range(40):
        (root / f"usr/share/doc/{number}").write_text(f"{number}\n" * number)
    os.link(root / "usr/share/doc/7", root / "etc/linked")
    os.symlink("../usr", root / "etc/symlink")
    (root / "etc/setuid").write_text("x")
    (root / "etc/setuid").chmod(0o4755)
    for path in [*root.rglob("*"), root]:
        os.utime(path, (10**9, 10**9), follow_symlinks=False)
    target = directory / "package.deb"
    command = ["dpkg-deb", "--root-owner-group", "--build", str(root), str(target)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["rm", "-rf", root], check=True)


def give_work(bundle: OwnBundle) -> None:
    """Give the container the host's programs, settings for git, and what is to be done."""
    rootfs = bundle.with_programs()
    (rootfs / "root/.gitconfig").write_text(_GIT)
    (rootfs / "work.py").write_text(_WORK.read_text())
    bundle.spec["process"]["env"] += ["HOME=/root", *(f"{name}={date}" for name, date in _DATES.items())]


def own_like(person: Person, directory: pathlib.Path) -> None:
    """Give a tree to the person, and some of its files to others whom the person can map."""
    person.own_all(directory)
    others = {"root": 1000, "user": account.subordinate()[0] + 999, "unshare": person.uid}[person.who]
    for name in ("tree/linked", "tree/opaque", "tree/gone/deep/file"):
        if (directory / name).exists():
            person.own(directory / name, others)


def listed(person: Person, bundle: OwnBundle, runtime: str, *options: str, work: Sequence[str]) -> Any:
    """Let the container work, and list what is there then."""
    start = str(int(time.time()) - 2)
    bundle.spec["process"]["args"] = ["python3", "-IS", "/work.py", "/ov", start, *work]
    result = person.container(runtime, bundle, *options, timeout=400)
    assert (result.status, result.err) == (0, "")
    return json.loads(result.out)


@pytest.mark.parametrize(("runtime", "backend", "who"), _VERSIONS)
def test_git_works_in_an_overlay_as_in_a_directory(
    person: Person, bundle: OwnBundle, repository: pathlib.Path, versions: Any, runtime: str, backend: str
) -> None:
    give_work(bundle)
    lower = bundle.layer("lower")
    subprocess.run(["cp", "-a", repository, lower / "repository"], check=True)
    person.own_all(lower)
    bundle.overlay()

    there = listed(person, bundle, runtime, "--overlay", backend, work=["versions"])

    assert_same(versions, there)
    assert len(there) > _FILES - 200


def test_archives_work_in_an_overlay_as_in_a_directory(
    person: Person, bundle: OwnBundle, runtime: str, backend: str
) -> None:
    give_work(bundle)
    lower = bundle.layer("lower")
    make_tree(lower, special=runtime != "runsc", sockets=runtime != "runsc" and backend == "kernel")
    make_package(lower)
    os.utime(lower / "package.deb", (10**9, 10**9))
    own_like(person, lower)
    plain = bundle.directory / "plain"
    subprocess.run(["cp", "--archive", "--sparse=always", lower, plain], check=True)
    overlay = bundle.overlay()
    before = looks(lower)

    there = listed(person, bundle, runtime, "--overlay", backend, work=["archives"])
    overlay["destination"] = "/other"  # with it, ocishim makes the same namespaces
    entry = {"destination": "/ov", "type": "bind", "source": str(plain), "options": ["rbind"]}
    bundle.spec["mounts"].append(entry)
    expected = listed(person, bundle, runtime, work=["archives"])

    assert_same(expected, there)
    assert looks(lower) == before
    assert (len(there), there["./unpacked/etc/linked"][-1], "./tree/gone" in there) == (
        len(expected), [2, "./unpacked/etc/linked"], False,
    )  # fmt: skip


def assert_same(expected: Any, there: Any) -> None:
    """Compare two lists of files; show the first three that differ."""
    names = sorted(expected.keys() | there.keys())
    wrong = {name: (expected.get(name), there.get(name)) for name in names}
    differs = {name: pair for name, pair in wrong.items() if pair[0] != pair[1]}
    assert dict(list(differs.items())[:3]) == {}


def looks(directory: pathlib.Path) -> bytes:
    """Say what all files look like from outside."""
    return subprocess.check_output(["find", directory, "-printf", "%p %M %U:%G %T@ %s %n\n"])

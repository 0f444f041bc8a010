"""Real work in an overlay, compared file by file with the same work in a plain directory.

The container has the host's programs: /usr, read-only. The plain directory is bound in a container of the same
runtime, made by the same person, so that what a runtime cannot do (gVisor binds no sockets in the host's
directories, and has no xattrs there) is the same on both sides.
"""

import json
import os
import pathlib
import socket
import subprocess
import time
from collections.abc import Sequence
from typing import Any

import account
import pytest
from anywhere.people import OwnBundle, Person

_DATES = {"GIT_AUTHOR_DATE": "1600000000 +0000", "GIT_COMMITTER_DATE": "1600000000 +0000"}
_GIT = "[user]\nname = t\nemail = t@t\n[init]\ndefaultBranch = main\n[pack]\nthreads = 1\n[safe]\ndirectory = *\n"
_FILES = 2000


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Make a repository of 2,000 files in two versions, as an archive."""
    directory = tmp_path_factory.mktemp("repository")
    (directory / ".gitconfig").write_text(_GIT)
    there = directory / "repository"
    environ = os.environ | _DATES | {"HOME": str(directory)}

    def git(*words: str) -> None:
        subprocess.run(["git", "-C", there, *words], check=True, env=environ)

    subprocess.run(["git", "init", "--quiet", there], check=True, env=environ)
    for version in ("old", "main"):
        for number in range(_FILES):
            (there / str(number % 20)).mkdir(exist_ok=True)
            (there / str(number % 20) / str(number)).write_text(f"{version if number % 5 == 0 else ''}\n" * 20)
        git("add", "--all")
        git("commit", "--quiet", "--message", version)
        if version == "old":
            git("branch", "old")
    git("config", "core.bare", "true")
    return there / ".git"


def make_tree(directory: pathlib.Path) -> None:
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
    os.mkfifo(tree / "fifo")
    with (tree / "sparse").open("wb") as file:
        file.truncate(10_000_000)
    for path in (tree / "file", tree / "linked", tree / "opaque", directory / "removed/below/file"):
        os.setxattr(path, "user.note", b"of the file")
    for name in ("tree/socket", "tree/gone/socket"):
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
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", root, target], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["rm", "-rf", root], check=True)


def with_host_s_programs(bundle: OwnBundle) -> None:
    """Give the container the host's /usr, and settings for git."""
    rootfs = bundle.layer("rootfs")
    for name in ("usr", "proc", "dev", "tmp", "ov", "etc", "root"):
        bundle.layer(f"rootfs/{name}")
    for name in ("bin", "lib", "lib64", "sbin"):
        (rootfs / name).symlink_to(f"usr/{name}")
    (rootfs / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (rootfs / "root/.gitconfig").write_text(_GIT)
    (rootfs / "work.py").write_text(pathlib.Path(__file__).with_name("work.py").read_text())
    bundle.spec["root"] = {"path": "rootfs", "readonly": True}
    bundle.spec["mounts"] += [
        {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"},
    ]
    bundle.spec["process"]["env"] = ["PATH=/usr/bin:/bin", "HOME=/root"] + [f"{k}={v}" for k, v in _DATES.items()]


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
    result = person.container(runtime, bundle, *options, timeout=200)
    assert (result.status, result.err) == (0, "")
    return json.loads(result.out)


@pytest.mark.parametrize("work", ["versions", "archives"])
def test_work_in_an_overlay_is_as_in_a_directory(
    person: Person, bundle: OwnBundle, repository: pathlib.Path, runtime: str, backend: str, work: str
) -> None:
    with_host_s_programs(bundle)
    lower = bundle.layer("lower")
    if work == "versions":
        subprocess.run(["cp", "-a", repository, lower / "repository"], check=True)
    else:
        make_tree(lower)
        make_package(lower)
    own_like(person, lower)
    plain = bundle.directory / "plain"
    subprocess.run(["cp", "--archive", "--sparse=always", lower, plain], check=True)
    overlay = bundle.overlay()
    before = subprocess.check_output(["find", lower, "-printf", "%p %M %U:%G %T@ %s %n\n"])

    there = listed(person, bundle, runtime, "--overlay", backend, work=[work])
    bundle.spec["mounts"].remove(overlay)
    bundle.spec["mounts"].append(
        {"destination": "/ov", "type": "bind", "source": str(plain), "options": ["rbind"]}
    )
    expected = listed(person, bundle, runtime, work=[work])

    assert {name: (there.get(name), its) for name, its in expected.items() if there.get(name) != its} == {}
    assert there.keys() == expected.keys()
    assert len(expected) > (_FILES if work == "versions" else 60)
    assert before == subprocess.check_output(["find", lower, "-printf", "%p %M %U:%G %T@ %s %n\n"])

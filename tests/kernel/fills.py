"""What layers may hold that a trial meets: files of every kind, names of every kind, marks."""

import os
import pathlib
import socket
from collections.abc import Callable

from ocishim.probe import room

Fill = Callable[[pathlib.Path], object]


def plain(layer: pathlib.Path) -> None:
    (layer / "etc/d").mkdir(parents=True)
    (layer / "etc/passwd").write_text("root\n")
    (layer / "etc/d/one").write_text("1\n")
    (layer / "top").write_text("top\n")


def _nothing(_: pathlib.Path) -> None:
    pass


def _odd_names(layer: pathlib.Path) -> None:
    for name in (
        b"new\nline",
        b"\xff\xfe",
        b" ",
        b"-rf",
        b"'\"\\",
        "größe-名前".encode(),
        b"x" * 200,
        b"a:b,c",
    ):
        directory = os.path.join(os.fsencode(layer), name)
        os.mkdir(directory)
        with open(os.path.join(directory, name), "wb") as file:
            file.write(name)


def _special(layer: pathlib.Path) -> None:
    """What hangs or does something when it is opened."""
    for directory in ("", "d"):
        (layer / directory).mkdir(exist_ok=True)
        os.mkfifo(layer / directory / "fifo")
        os.mknod(layer / directory / "null", 0o20666, os.makedev(1, 3))
        os.mknod(layer / directory / "watchdog", 0o20666, os.makedev(10, 130))
        os.mknod(layer / directory / "disk", 0o60666, os.makedev(7, 0))
        here = os.getcwd()
        os.chdir(layer / directory)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("socket")
        os.chdir(here)
        (layer / directory / "loop").symlink_to("loop")
        (layer / directory / "away").symlink_to("/etc/passwd")


def _huge(layer: pathlib.Path) -> None:
    (layer / "d").mkdir()
    for number in range(10_000):
        os.close(os.open(layer / "d" / f"{number:05}", os.O_CREAT | os.O_WRONLY))


def _deep(layer: pathlib.Path) -> None:
    (layer / "/".join("d" * 50)).mkdir(parents=True)


def _large(layer: pathlib.Path) -> None:
    for name in ("a", "b"):
        with open(layer / name, "wb") as file:
            file.truncate(1 << 40)
    (layer / "c").write_bytes(b"x" * 100_000)


def _modes(layer: pathlib.Path) -> None:
    for number, mode in enumerate((0, 0o4755, 0o2755, 0o1777, 0o444)):
        (layer / f"d{number}").mkdir()
        (layer / f"d{number}/file").write_text("x")
        os.chown(layer / f"d{number}/file", number, 100_000 + number)
        os.chmod(layer / f"d{number}/file", mode)
        os.chmod(layer / f"d{number}", mode)


def _xattrs(layer: pathlib.Path) -> None:
    (layer / "d").mkdir()
    (layer / "d/file").write_text("x")
    (layer / "file").write_text("x")
    os.setxattr(layer / "file", "user.x", b"y" * 1000)
    os.setxattr(layer / "file", "trusted.x", b"y")
    os.setxattr(layer / "d", "user.x", b"y")
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(layer / "d/file", "security.capability", capability)


def _hard_links(layer: pathlib.Path) -> None:
    (layer / "one").write_text("x")
    (layer / "d").mkdir()
    os.link(layer / "one", layer / "d/two")


def _names_of_ours(layer: pathlib.Path) -> None:
    for name in (room.SCRATCH, "d"):
        (layer / name / "directory").mkdir(parents=True)
        for file in ("directory/file", "gone", ".ocishim-new"):
            (layer / name / file).write_text("other\n")


def _whiteouts(layer: pathlib.Path) -> None:
    (layer / "d").mkdir()
    os.mknod(layer / "gone", 0o20000, 0)
    os.mknod(layer / "d/gone", 0o20000, 0)
    (layer / "d/file").write_text("x")


FILLS: list[Fill] = [
    plain, _nothing, _odd_names, _special, _huge, _deep, _large, _modes, _xattrs, _hard_links,
    _names_of_ours, _whiteouts,
]  # fmt: skip

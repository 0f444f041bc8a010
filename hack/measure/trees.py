"""The lower layer that containers work on, and its sizes."""

import dataclasses
import pathlib
import subprocess


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much of everything there is."""

    files: int
    creates: int
    removes: int
    tracked: int
    megabytes: int


WHOLE = Sizes(files=10_000, creates=4_000, removes=2_000, tracked=2_000, megabytes=256)
QUICK = Sizes(files=2_000, creates=400, removes=200, tracked=200, megabytes=64)


def make(lower: pathlib.Path, sizes: Sizes) -> None:
    """Make the layer: small files, a tree to remove, a git work tree, a big file."""
    _small_files(lower / "files", sizes.files, 100)
    _small_files(lower / "tree", sizes.removes, 40)
    _small_files(lower / "repo", sizes.tracked, 40)
    git = ("git", "-C", str(lower / "repo"), "-c", "user.name=bench", "-c", "user.email=bench@localhost")
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message", "all")):
        subprocess.run([*git, *words], check=True)
    block = bytes(range(256)) * 4096
    with open(lower / "big", "wb") as file:
        for _ in range(sizes.megabytes):
            file.write(block)


def check(upper: pathlib.Path, sizes: Sizes, names: set[str]) -> str:
    """Say what is missing in an upper layer after the work; "" if nothing is."""
    if "create" in names:
        found = len(list((upper / "new").glob("[0-9]*")))  # fuse-overlayfs adds .wh..opq
        if found != sizes.creates:
            return f"{found} of {sizes.creates} new files are in upperdir"
    if "copyup" in names:
        big = upper / "big"
        if not big.exists() or big.stat().st_size != (sizes.megabytes << 20) + 1:
            return "the big file was not copied up"
    if "remove" in names and not (upper / "tree").is_char_device():
        return "upperdir has no whiteout for the removed tree"
    return ""


def _small_files(top: pathlib.Path, count: int, directories: int) -> None:
    for directory in range(directories):
        (top / str(directory)).mkdir(parents=True)
    for number in range(count):
        size = 200 + number * 37 % 2800
        (top / str(number % directories) / f"file{number}").write_bytes(b"%d\n" % number + b"x" * size)

"""The kernels that verdicts are asked of: Debian's User Mode Linux of four suites, kept in a cache."""

import dataclasses
import fcntl
import lzma
import os
import pathlib
import shutil
import subprocess
import tempfile

from . import packages
from .errors import UnavailableError
from .relink import relink

SUITES = ("bullseye", "bookworm", "trixie", "forky")
#: What overlays are made of; everything else that they need is built in.
_MODULES = ("overlay", "fuse", "loop", "squashfs", "erofs", "vfat", "nls_cp437", "nls_iso8859-1", "nls_ascii")
#: Changes when what the cache holds does: the old is then left alone, and fetched anew.
_FORM = "1"


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A User Mode Linux: its program, the glibc that only it needs, its modules in the order to load them."""

    suite: str
    version: str
    program: pathlib.Path
    library: pathlib.Path | None
    modules: tuple[pathlib.Path, ...]

    @property
    def name(self) -> str:
        """Give the version as people say it: 6.12."""
        return ".".join(self.version.split(".")[:2])


def cache() -> pathlib.Path:
    """Give the directory that kernels are kept in."""
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache", "ocishim/kernels")


def find(suite: str) -> Kernel | None:
    """Give a kernel that was fetched before."""
    place = cache() / f"{suite}-{_FORM}"
    try:
        version, *names = (place / "kernel").read_text().split("\n")
    except FileNotFoundError:
        return None
    library = place / "lib"
    return Kernel(
        suite,
        version,
        place / "linux",
        library if library.exists() else None,
        tuple(place / "modules" / name for name in names if name),
    )


def fetch(suite: str) -> Kernel:
    """Give a kernel, fetched if need be; two that want the same wait for each other.

    Raises UnavailableError. What was downloaded stays until the kernel is there: a new try goes on from it.
    """
    place = cache()
    place.mkdir(parents=True, exist_ok=True)
    with open(place / f"{suite}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (found := find(suite)):
            downloads = place / f"{suite}.apt"
            _make(suite, place / f"{suite}-{_FORM}", downloads)
            shutil.rmtree(downloads)
            found = find(suite)
    assert found
    return found


def _make(suite: str, place: pathlib.Path, downloads: pathlib.Path) -> None:
    """Put together what a kernel needs; the place appears when it is whole."""
    [package] = packages.download(suite, ["user-mode-linux"], downloads)
    with tempfile.TemporaryDirectory(prefix=f"{suite}-", dir=place.parent) as name:
        scratch, made = pathlib.Path(name), pathlib.Path(name, "made")
        made.mkdir()
        packages.unpack(package, scratch)
        [modules] = scratch.glob("usr/lib/uml/modules/*")
        _program(suite, scratch / "usr/bin/linux.uml", made, place, downloads)
        (made / "modules").mkdir()
        names = []
        for module in _in_order(modules):
            content = module.read_bytes()
            if module.suffix == ".xz":
                content = lzma.decompress(content)
            names.append(module.name.removesuffix(".xz"))
            (made / "modules" / names[-1]).write_bytes(content)
        (made / "kernel").write_text("\n".join([modules.name, *names]))
        shutil.rmtree(place, ignore_errors=True)
        made.rename(place)


def _program(
    suite: str, linux: pathlib.Path, made: pathlib.Path, place: pathlib.Path, downloads: pathlib.Path
) -> None:
    """Copy the kernel's program; where this machine's glibc is too old for it, with its own suite's."""
    content = linux.read_bytes()
    if subprocess.run([linux, "--version"], capture_output=True, check=False).returncode:
        [package] = packages.download(suite, ["libc6"], downloads)
        packages.unpack(package, made / "libc")
        [linker] = (made / "libc").glob("usr/lib/*-linux-gnu/ld-linux-*.so.*")
        (made / "lib").mkdir()
        for library in (linker, *linker.parent.glob("lib*.so.[0-9]")):
            shutil.copy(library, made / "lib")
        shutil.rmtree(made / "libc")
        content = relink(content, place / "lib" / linker.name)
    (made / "linux").write_bytes(content)
    (made / "linux").chmod(0o755)


def _in_order(modules: pathlib.Path) -> list[pathlib.Path]:
    """Give the modules that are wanted and there, each after those that it needs."""
    needs = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        needs[_name(path)] = (modules / path, [_name(each) for each in rest.split()])
    found: dict[pathlib.Path, None] = {}

    def add(name: str) -> None:
        path, needed = needs[name]
        for each in needed:
            add(each)
        found[path] = None

    for name in _MODULES:
        if name.replace("-", "_") in needs:
            add(name.replace("-", "_"))
    return list(found)


def _name(path: str) -> str:
    return pathlib.PurePath(path).name.partition(".ko")[0].replace("-", "_")


def all_there_are() -> tuple[list[Kernel], dict[str, str]]:
    """Give the kernels that can be had, oldest suite first, and for each other suite why not."""
    kernels, missing = [], {}
    for suite in SUITES:
        try:
            kernels.append(fetch(suite))
        except UnavailableError as e:
            missing[suite] = str(e)
    return kernels, missing

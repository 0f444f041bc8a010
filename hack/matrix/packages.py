"""Debian packages of any suite, downloaded by apt with lists of its own: the machine's apt is left alone."""

import os
import pathlib
import shutil
import subprocess

from .errors import GoneError, UnavailableError

MIRROR = os.environ.get("OCISHIM_DEBIAN_MIRROR", "http://deb.debian.org/debian")
_GONE = ("does not have a Release file", "no longer has a Release file", "Unable to locate package")
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def download(suite: str, names: list[str], place: pathlib.Path) -> list[pathlib.Path]:
    """Give the .deb files of these packages, in this order; what `place` already holds whole is not fetched.

    Raises GoneError where the mirror has no such suite or package, else UnavailableError; in apt's words.
    """
    apt = shutil.which("apt-get")
    if apt is None:
        raise UnavailableError("apt-get is not installed")
    for directory in ("lists/partial", "cache/archives/partial", "debs"):
        (place / directory).mkdir(parents=True, exist_ok=True)
    (place / "sources.list").write_text(f"deb [signed-by={_KEYRING}] {MIRROR} {suite} main\n")
    (place / "status").touch()
    where = {
        "Dir::Etc::SourceList": place / "sources.list",
        "Dir::Etc::SourceParts": "-",
        "Dir::Etc::Preferences": "-",
        "Dir::Etc::PreferencesParts": "-",
        "Dir::State::Lists": place / "lists",
        "Dir::State::Status": place / "status",
        "Dir::Cache": place / "cache",
        "APT::Get::List-Cleanup": "0",
        "APT::Sandbox::User": "root",  # its usual user could not write into a private cache
        "APT::Update::Error-Mode": "any",  # or a mirror that does not answer looks like one without packages
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
        "Acquire::http::Timeout": "30",
    }
    options = [f"-o{name}={value}" for name, value in where.items()]
    _run([apt, *options, "--quiet=2", "update"], place)
    found = []
    for name in names:
        _run([apt, *options, "--quiet=2", "download", name], place / "debs")
        newest = max((place / "debs").glob(f"{name}_*.deb"), key=lambda path: path.stat().st_mtime_ns)
        found.append(newest)
    return found


def unpack(package: pathlib.Path, place: pathlib.Path) -> None:
    """Unpack a package below a directory."""
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["dpkg-deb", "--extract", package, place], check=True)


def _run(argv: list[str], directory: pathlib.Path) -> None:
    """Run apt, which tells of a suite that is gone by an E: line, and by its status only since Debian 12."""
    done = subprocess.run(
        argv,
        cwd=directory,
        text=True,
        capture_output=True,
        check=False,
        timeout=600,
        stdin=subprocess.DEVNULL,
    )
    errors = [line for line in done.stderr.splitlines() if line.startswith(("E:", "Err:"))]
    if done.returncode or errors:
        said = "; ".join(errors) or done.stderr.strip()
        kind = GoneError if any(words in said for words in _GONE) else UnavailableError
        raise kind(said or f"apt ended with {done.returncode}")

"""What fuse-overlayfs and the runtimes say of themselves: asked all at once, and not waited for too long."""

import os
import subprocess  # noqa: TID253 - nothing hot loads this

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: Seconds for all the commands, which run at the same time.
PATIENCE = 1.0
#: A version is a line; the features of runc have some 5 KiB.
_LONGEST_VERSION = 80
_LONGEST_OPTION = 40


def ask(commands: "Iterable[tuple[str, str]]") -> dict[tuple[str, str], str]:
    """Run programs with one word each; give what they print, nothing for one that fails or is late."""
    import signal
    import time

    end = time.monotonic() + PATIENCE
    started = {}
    for command in dict.fromkeys(commands):
        try:
            started[command] = subprocess.Popen(  # noqa: S603 - programs of the settings, the two words above
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                errors="replace",
                start_new_session=True,  # a wrapper's children end with it
            )
        except OSError:
            continue
    found = {}
    for command, process in started.items():
        with process:
            try:
                found[command], _ = process.communicate(timeout=max(end - time.monotonic(), 0.01))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
    return found


def version(said: str) -> str:
    """Find the line with the version; the first one of fuse-overlayfs is about fusermount3."""
    lines = [line.strip() for line in said.splitlines() if " version" in line]
    named = [line for line in lines if line.startswith("fuse-overlayfs")]
    return (named or lines or [""])[0][:_LONGEST_VERSION]


def features(said: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give the range of OCI versions and the mount options (features-linux.md), if it has any."""
    import json

    try:
        document = json.loads(said)
    except (ValueError, RecursionError):
        return (), ()
    if not isinstance(document, dict):
        return (), ()
    oci = [document.get("ociVersionMin"), document.get("ociVersionMax")]
    options = document.get("mountOptions")
    return (_words(oci), _words(options))


def _words(found: object) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        return ()
    return tuple(each[:_LONGEST_OPTION] for each in found)

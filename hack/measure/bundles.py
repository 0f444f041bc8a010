"""The bundles that are measured: small, and as like to an engine's as the rows need."""

import json
import os
import pathlib
from typing import Any

#: What engines mount into every container.
_MOUNTS: list[dict[str, Any]] = [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {
        "destination": "/dev",
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
]
_CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_MKNOD", "CAP_SYS_ADMIN"]


def spec(rootfs: pathlib.Path, args: list[str]) -> dict[str, Any]:
    """Give a spec without an overlay."""
    kinds = ("bounding", "effective", "permitted", "inheritable")
    return {
        "ociVersion": "1.0.2",
        "root": {"path": str(rootfs), "readonly": True},
        "process": {
            "cwd": "/",
            "user": {"uid": 0, "gid": 0},
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "LANG=C.UTF-8"],
            "args": args,
            "capabilities": dict.fromkeys(kinds, _CAPABILITIES),
        },
        "hostname": "bench",
        "mounts": list(_MOUNTS),
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]},
    }


def overlay(destination: str, lower: pathlib.Path, writable: pathlib.Path) -> dict[str, Any]:
    """Give an overlay entry, and make its upper and work directories below `writable`."""
    for name in ("upper", "work"):
        (writable / name).mkdir(parents=True, exist_ok=True)
    layers = [f"lowerdir={lower}", f"upperdir={writable}/upper", f"workdir={writable}/work"]
    return {"destination": destination, "type": "overlay", "source": "overlay", "options": layers}


def bind(destination: str, source: str, *flags: str) -> dict[str, Any]:
    """Give a bind mount."""
    return {"destination": destination, "type": "bind", "source": source, "options": ["rbind", *flags]}


def write(directory: pathlib.Path, content: dict[str, Any]) -> str:
    """Make a bundle; give its path."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(content, indent=1))
    return str(directory)


def rootfs_like_the_host(directory: pathlib.Path) -> tuple[pathlib.Path, list[dict[str, Any]]]:
    """Make a root file system with the host's programs; give it and the binds that belong to it."""
    for name in ("usr", "etc", "proc", "dev", "ov"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    binds = [bind("/usr", "/usr", "ro"), bind("/etc", "/etc", "ro")]
    for name in ("bin", "lib", "lib64", "sbin"):
        if os.path.islink(f"/{name}"):
            (directory / name).symlink_to(os.readlink(f"/{name}"))
        elif os.path.isdir(f"/{name}"):
            (directory / name).mkdir()
            binds.append(bind(f"/{name}", f"/{name}", "ro"))
    return directory, binds

"""Asks ocishim about a bundle whose layers a script has made, in a mount namespace of its own."""

import dataclasses
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import uuid

from harness import OCISHIM

from ocishim import findings

RW = ("lowerdir=l", "upperdir=u", "workdir=w")
#: Directories as RW names them, and what the scripts share. A loop device goes with its mount.
_BEFORE = """
mkdir -p l/d l/e u w; echo lower >l/f; echo lower >l/d/g; echo lower >l/e/h; chmod -R a+rwX l u w
disk() { # DIR SIZE MKFS...: mount a new file system there
    target=$1; truncate -s "$2" "$1.img"; shift 2
    PATH=$PATH:/usr/sbin "$@" "$target.img" >/dev/null 2>&1; mkdir -p "$target"
    mount -o "loop,${with:-rw}" "$target.img" "$target"; chmod 777 "$target"
}
overlay() { # DIR LOWER [OPTIONS]: mount an overlay there, its upper layer beside it
    mkdir -p "$1" "$1-u" "$1-w"
    mount -t overlay -o "lowerdir=$2,upperdir=$1-u,workdir=$1-w${3:+,$3}" overlay "$1"
}
fuse() { # DIR UID: mount FUSE there for a user, with descriptor 3 as the server that never answers
    exec 3<>/dev/fuse
    mount -i -t fuse -o "fd=3,rootmode=40000,user_id=$2,group_id=$2" fuse "$1"
}
xattr() { python3 -c 'import os, sys; os.setxattr(sys.argv[1], sys.argv[2], sys.argv[3].encode())' "$@"; }
"""
USER = "unshare --user --map-root-user --mount "
#: Somebody without subordinate ids, who may look into a test's directory.
NOBODY = (
    "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=+dac_read_search "
    "--ambient-caps=+dac_read_search "
)
#: The runtime is never started: all of this is refused.
KERNEL = "--root state --overlay kernel --runtime true create --bundle . c1"
FUSE = "--overlay fuse --runtime true create --bundle . c1"
RUNSC = "--runtime ./runsc create --bundle . c1"


@dataclasses.dataclass(frozen=True)
class Case:
    """`make` is a script, `says` the message without its remedy, `ask` what ocishim is asked.

    In `says` B is the bundle's path and K the kernel's release. `who` goes in front of ocishim, or of
    another `program`, `where` is
    the place that the message names, `remedy` one that is not the finding's, `more` are further overlays.
    """

    make: str
    says: str
    options: tuple[str, ...] = RW
    ask: str = KERNEL
    who: str = ""
    program: str = str(OCISHIM)
    where: str = "mounts[0]: "
    remedy: str = ""
    more: tuple[tuple[str, ...], ...] = ()
    spec: dict[str, object] = dataclasses.field(default_factory=dict)


def ask(case: Case, bundle: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """Make the case and ask."""
    bundle.mkdir()
    mark = f"OCISHIM_CASE={uuid.uuid4().hex}"
    words = ["env", mark, "unshare", "--mount", "--propagation", "private", "sh", "-euc", script(case)]
    try:
        return subprocess.run(words, cwd=bundle, text=True, capture_output=True, timeout=60, check=False)
    finally:
        _end(mark)


def _end(mark: str) -> None:
    """End what the script left: a FUSE server keeps the namespace in which its mount is, and so itself."""
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:  # it is gone
            continue


def script(case: Case) -> str:
    """Give the script that makes the case in an empty directory, and asks."""
    mounts = [
        {"destination": f"/{n}", "type": "overlay", "source": "overlay", "options": options}
        for n, options in enumerate((case.options, *case.more))
    ]
    spec = {"ociVersion": "1.0.2", "root": {"path": "rootfs"}, "mounts": mounts, **case.spec}
    config = f"printf %s {shlex.quote(json.dumps(spec))} >config.json; echo 'trial_cache = \"\"' >settings"
    asking = f"OCISHIM_CONFIG=$PWD/settings exec {case.who} {case.program} {case.ask}"
    return f"{config}\n{_BEFORE}{case.make}\n{asking}"


def refusal(name: str, case: Case, bundle: pathlib.Path) -> str:
    """Give the whole line that a case expects; its name begins with the finding's id."""
    line = f"{case.where}{case.says}; {case.remedy or findings.get(name[:10]).remedy}"
    return f"ocishim: {line.replace('B/', f'{bundle}/')}; ocishim explain {name[:10]}\n"


def without_kernel_log(line: str) -> str:
    """Take the kernel's log out of a line: it is the machine's, with others' lines in it."""
    line = line.replace("which lacks d_type and RENAME_WHITEOUT", "which lacks RENAME_WHITEOUT")
    return re.sub(r" \(kernel log: .*\)(?=; )", "", line)

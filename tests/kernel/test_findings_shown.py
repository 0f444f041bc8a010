"""Findings that are how overlays, FUSE and mounts behave, shown here so that the pages tell the truth."""

import pathlib
import sys

import pytest
from harness import OCISHIM
from kernel.asked import Case, ask

from ocishim import findings

NOBODY = "setpriv --reuid 65534 --regid 65534 --clear-groups"
#: A /dev/fuse that everybody may open, and what a FUSE server calls.
FUSERMOUNT = """
    mkdir m; chmod 777 . m; mknod fuse c 10 229; chmod 666 fuse; mount --bind fuse /dev/fuse
    _FUSE_COMMFD=3"""
PYTHON = f"{sys.executable} -I -c"
#: The finding: what is done, and what is printed. B is the directory.
CASES: dict[str, tuple[str, str]] = {
    "OVL-FUS-11": (f"fuse l 0; {NOBODY} ls l 2>&1 || true", "ls: cannot access 'l': Permission denied"),
    "OVL-FUS-12": (
        """
        mkdir o; fuse-overlayfs -o lowerdir=l,upperdir=u,workdir=w o 2>/dev/null
        (cd o; umount ../o 2>&1 || true); umount o
        """,
        "umount: B/o: target is busy.",
    ),
    "OVL-FUS-02": (
        f"{FUSERMOUNT} {NOBODY} --no-new-privs fusermount3 m 3>x 2>&1 || true",
        "fusermount3: mount failed: Operation not permitted",
    ),
    "OVL-FUS-03": (
        f"{FUSERMOUNT} {NOBODY} fusermount3 -o allow_other m 3>x 2>&1 || true",
        "fusermount3: option allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf",
    ),
    "OVL-FUS-16": (
        """
        mkdir o; fuse-overlayfs -o lowerdir=l,upperdir=u,workdir=w o 2>/dev/null
        rm -r o/d; mkdir o/d; mv o/d o/new; cat o/d/g; umount o
        """,
        "lower",
    ),
    "OVL-LOW-20": (
        f"""
        mkdir k; mount -t tmpfs t k; mkdir k/u k/w
        sed -i 's/lowerdir=l/lowerdir=\\//; s/=u/=k\\/u/; s/=w/=k\\/w/' config.json
        {OCISHIM} --overlay fuse --runtime true create --bundle . c1 2>&1; echo started
        """,
        "started",
    ),
    "OVL-OPT-01": (
        f"""{PYTHON} '
from ocishim import linux
context = linux.fsopen("overlay")
for count in (255, 256):
    try: linux.fsconfig_string(context, "upperdir", "x" * count)
    except OSError as e: print(count, e.errno, linux.fs_errors(context))'""",
        "255 2 \n256 22 ",
    ),
    "OVL-OPT-14": (
        """
        for n in 1 2; do mkdir o$n; mount -t overlay -o lowerdir=l,upperdir=u,workdir=w o$n o$n; done
        echo new >o1/new; ls o2 | grep new
        """,
        "new",
    ),
    "OVL-OPT-18": (
        "overlay o l; umount o; stat -c %a o-w/work; unshare -U ls o-w/work 2>&1 || true",
        "0\nls: cannot open directory 'o-w/work': Permission denied",
    ),
    "OVL-RUN-04": (
        f"""overlay o l; {PYTHON} '
import ctypes, os
libc = ctypes.CDLL(None)
for path in ("o/f", "l/f"):
    watch = libc.inotify_init1(os.O_NONBLOCK)
    libc.inotify_add_watch(watch, path.encode(), 2)
    with open("o/f", "a") as file: file.write("more")
    try: print(path, len(os.read(watch, 4096)))
    except BlockingIOError: print(path, "nothing")'""",
        "o/f 16\nl/f nothing",
    ),
    "OVL-RUN-05": (
        f"""overlay o l; {PYTHON} '
import mmap
with open("o/f") as file: seen = mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ)
with open("o/f", "r+") as file: file.write("LOWER")
print(seen[:5], open("o/f").read(5))'""",
        "b'lower' LOWER",
    ),
    "OVL-RUN-10": (
        """
        mkdir p; mount -t tmpfs t p; mount --make-shared p; mkdir p/o; mkfifo go
        unshare --mount --propagation unchanged sh -c 'read x <go; grep -c /p/o /proc/self/mountinfo' &
        sleep 0.2; mount -t overlay -o lowerdir=l,upperdir=u,workdir=w o p/o; echo go >go; wait
        """,
        "1",
    ),
    "OVL-RUN-12": (
        """
        overlay o l; mount -o remount,metacopy=on o 2>/dev/null || true
        grep '/o rw' /proc/self/mountinfo | grep -c metacopy || true
        """,
        "0",
    ),
    "OVL-RUN-07": (
        "runsc --overlay2=root:memory --file-access=shared list 2>&1 | sed -n '1s/.*: //p' || true",
        "overlay flag is incompatible with shared file access",
    ),
    "OVL-UNS-08": (
        """
        mount --bind l l; mount -o remount,bind,ro l
        unshare --user --map-root-user --mount sh -c 'mount -o remount,bind,rw l 2>&1' | head -n 1
        """,
        "mount: B/l: permission denied.",
    ),
    "OVL-UNS-10": (
        """
        unshare --user --map-root-user --mount sh -c '
            for n in 1 2; do
                mkdir -p o; mount -t overlay -o lowerdir=l,upperdir=u,workdir=w,userxattr o o
                echo more >>o/f; stat -c %i o/f; umount o
            done' | uniq | wc -l
        """,
        "2",
    ),
    "OVL-UPP-06": (
        f"""overlay o l; {PYTHON} '
import os
try: os.rename("o/d", "o/n")
except OSError as e: print(e.errno, e.strerror)'; mv o/d o/n; ls o/n""",
        "18 Invalid cross-device link\ng",
    ),
}
#: What else pages tell of findings that another table makes happen.
ALSO: dict[str, tuple[str, str]] = {
    "OVL-LOW-13": (
        "overlay o l; ls o/new 2>/dev/null || true; mkdir l/new; ls o | grep new; ls o/new 2>&1 || true",
        "new\nls: cannot access 'o/new': No such file or directory",
    ),
    "OVL-LOW-16": ("ln l/f l/name; overlay o l; echo more >>o/f; cat o/name", "lower"),
    "OVL-LOW-16 index": ("ln l/f l/name; overlay o l index=on; echo more >>o/f; cat o/name", "lower\nmore"),
    "OVL-LOW-16 fuse": (
        """
        ln l/f l/name; mkdir o; fuse-overlayfs -o lowerdir=l,upperdir=u,workdir=w o 2>/dev/null
        echo more >>o/f; cat o/name; umount o
        fuse-overlayfs -o lowerdir=l,upperdir=u,workdir=w o 2>/dev/null; cat o/name; umount o
        """,
        "lower\nmore\nlower",
    ),
}
#: Those whose words lead back to the page.
RECOGNISED = ("OVL-FUS-02", "OVL-FUS-03", "OVL-FUS-12", "OVL-KRN-12", "OVL-OPT-18", "OVL-RUN-07")


@pytest.mark.parametrize("name", CASES | ALSO)
def test_it_is_as_the_page_says(tmp_path: pathlib.Path, name: str) -> None:
    (script, expected), place = (CASES | ALSO)[name], tmp_path / "b"
    for directory in (tmp_path, *tmp_path.parents[:3]):
        directory.chmod(0o755)

    asked = ask(Case(script, "", ask="", program="true"), place)

    assert (asked.returncode, asked.stdout) == (0, expected.replace("B/", f"{place}/") + "\n"), asked.stderr
    if name in RECOGNISED:
        assert name in [finding.id for finding in findings.search(text=asked.stdout)]

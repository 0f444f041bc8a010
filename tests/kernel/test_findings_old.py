"""Findings that only another kernel has: User Mode Linux 5.10 and 6.1, each booted once for all cases."""

import errno
import pathlib
import re
import shlex
import subprocess
import sys

import pytest
from harness import STAGE
from kernel.asked import RW, USER, Case, refusal, script, without_kernel_log
from kernel.refused_layers import userns

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))  # hack/ is not installed

from hack.matrix import boot, kernels

ON_K = ("lowerdir=l", "upperdir=k/u", "workdir=k/w")
VFAT = "mkdir k; mount -t vfat /dev/ubda k; mkdir k/u k/w"
EROFS = f"""truncate -s 1M i; {sys.executable} -I -c '
from ocishim import linux
try: linux.mount("i", "u", "erofs", linux.MS_RDONLY)
except OSError as e: print(e.errno)'"""
TMPFILE = f"""overlay o l; {sys.executable} -I -c '
import os
try: os.open("o", os.O_TMPFILE | os.O_WRONLY, 0o600)
except OSError as e: print(e.errno)'"""
#: The finding: the suite of the kernel, the case and what is said; S is ocishim's stage.
OCISHIM_SAYS: dict[str, tuple[str, Case]] = {
    "OVL-KRN-02": (
        "bullseye",
        Case(
            "",
            "this kernel (K) lets only the initial user namespace mount overlay file systems "
            "[mount S/0: EPERM, the kernel refuses it]",
            who=USER,
        ),
    ),
    "OVL-KRN-03": (
        "bullseye",
        Case(
            "",
            "userxattr is not known to this kernel (K); it came with 5.11 [mount S/0: EINVAL, "
            "invalid argument]",
            (*RW, "userxattr"),
        ),
    ),
    "OVL-LOW-27": (
        "bullseye",
        Case(
            "mkdir h; mount -t hostfs -o /etc/apt none h",
            "lowerdir=B/h is on hostfs, and kernel K lists its files but answers ENOENT to a read "
            "[tried: does not exist from reading a file (a file)]",
            ("lowerdir=h", *RW[1:]),
        ),
    ),
    "OVL-UNS-03": (
        "bullseye",
        Case(
            "chown -R 1000:1000 u w",
            "upperdir=B/u: kernel K makes no overlays of idmapped layers; 5.19 and later do",
            (*RW, "idmap"),
            spec=userns(1000, 0),
        ),
    ),
    "OVL-UPP-05": (
        "bookworm",
        Case(
            "",
            "workdir=B/w is on tmpfs, where user.overlay.* cannot be written: deleting a lower "
            "directory would "
            "fail [tried: EIO from rm -r of a lower directory and mkdir in its place; EXDEV from "
            "renaming a new "
            "directory]",
            who=USER,
        ),
    ),
    "OVL-UPP-10": (
        "bookworm",
        Case(
            VFAT,
            "upperdir=B/k/u is on FAT, which has no xattrs, modes and device nodes [mount S/0: "
            "EINVAL, invalid "
            "argument]",
            ON_K,
        ),
    ),
}
#: What the kernel itself says, where ocishim does not come into it.
SHOWN: dict[str, tuple[str, Case]] = {
    "OVL-KRN-07": ("bookworm", Case(EROFS, str(errno.ENOTBLK), ask="", program="true")),
    "OVL-KRN-18": (
        "bookworm",
        Case(f"overlay o l; {TMPFILE}", str(errno.EOPNOTSUPP), ask="", program="true"),
    ),
}
CASES = OCISHIM_SAYS | SHOWN


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Boot each kernel once; give status and output by case."""
    place = tmp_path_factory.mktemp("old")
    image = place / "vfat.img"
    subprocess.run(["truncate", "-s", "8M", image], check=True)
    subprocess.run(["/usr/sbin/mkfs.vfat", image], check=True, capture_output=True)
    found: dict[str, list[str]] = {}
    for suite in ("bullseye", "bookworm"):
        (place / suite).mkdir()
        lines = []
        for name, (its, case) in CASES.items():
            if its == suite:
                what = shlex.quote(script(case))
                lines += [f"mkdir /tmp/{name}; cd /tmp/{name}; sh -euc {what} >out 2>&1; echo $? >>out"]
                lines += [f"cp out {boot.GUEST_RESULTS}/{name}"]
        done = boot.run(
            kernels.fetch(suite), ["sh", "-c", "\n".join(lines)], results=place / suite,
            disks=[boot.Disk(image)],
        )  # fmt: skip
        assert done.status == 0, done.console
        found |= {path.name: path.read_text().splitlines() for path in (place / suite).glob("OVL-*")}
    return found


@pytest.mark.parametrize("name", OCISHIM_SAYS)
def test_ocishim_says_it_on_that_kernel(answers: dict[str, list[str]], name: str) -> None:
    suite, case = OCISHIM_SAYS[name]

    *said, status = answers[name]

    version = kernels.fetch(suite).version
    line = without_kernel_log("\n".join(said)).replace(f"({version})", "(K)").replace(f" {version} ", " K ")
    line = re.sub(r"\(\S+/h/\S+\)\]", "(a file)]", line)
    expected = refusal(name, case, pathlib.Path("/tmp", name)).rstrip("\n")
    assert (line.replace(str(STAGE), "S"), status) == (expected, "1")


@pytest.mark.parametrize("name", SHOWN)
def test_that_kernel_is_as_the_page_says(answers: dict[str, list[str]], name: str) -> None:
    assert answers[name] == [SHOWN[name][1].says, "0"]

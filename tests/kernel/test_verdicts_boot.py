"""User Mode Linux as verdicts boot it: what a command in there can do, and what its end tells."""

import pathlib
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))  # hack/ is not installed

from hack.matrix import boot, kernels
from hack.matrix.kernels import Kernel


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    """Give the kernel of this Debian's own suite: the one that needs nothing else."""
    return kernels.fetch("bookworm")


def test_a_command_runs_as_root_of_another_kernel_and_cannot_write_here(
    kernel: Kernel, tmp_path: pathlib.Path
) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"on the disk".ljust(1 << 20, b"\0"))
    script = f"""
        uname -r; id -u; head -c 11 /dev/ubda; echo
        echo kept >{boot.GUEST_RESULTS}/file
        touch {tmp_path}/here 2>&1 | grep -o Read-only
        grep -c overlay /proc/filesystems; echo loud >&2
        exit 7
    """

    done = boot.run(kernel, ["sh", "-c", script], results=tmp_path, disks=[boot.Disk(disk)])

    assert (7, f"{kernel.version}\n0\non the disk\n", "loud\n") == (done.status, done.out[:-2], done.err)
    assert (tmp_path / "file").read_text() == "kept\n"
    assert not (tmp_path / "here").exists()


def test_a_guest_that_does_not_end_is_ended_and_what_it_wrote_stays(
    kernel: Kernel, tmp_path: pathlib.Path
) -> None:
    script = f"echo first >{boot.GUEST_RESULTS}/file; sync; sleep 100"

    done = boot.run(kernel, ["sh", "-c", script], results=tmp_path, limit=8)

    assert done.status is None
    assert "ended by the time limit" in done.console
    assert (tmp_path / "file").read_text() == "first\n"

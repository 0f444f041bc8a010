"""What is done and timed inside a container: this text is a python3 -c there, so it needs nothing else.

argv: the directory, then the names of the workloads. Writes one JSON object to stdout: seconds by name.
"""

import json
import os
import sys
import time


def files(directory: str) -> list[str]:
    """List all files of a tree of two levels."""
    return [
        f"{directory}/{inner}/{name}"
        for inner in os.listdir(directory)
        for name in os.listdir(f"{directory}/{inner}")
    ]


def stat(top: str) -> None:
    """Walk a tree of small files and stat each."""
    for path in files(f"{top}/files"):
        os.lstat(path)


def read(top: str) -> None:
    """Walk the tree once more and read each."""
    for path in files(f"{top}/files"):
        file = os.open(path, os.O_RDONLY)
        os.read(file, 65536)
        os.close(file)


def create(top: str) -> None:
    """Make many small files in a new directory."""
    os.mkdir(f"{top}/new")
    for number in range(int(os.environ["CREATES"])):
        file = os.open(f"{top}/new/{number}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(file, b"x" * 100)
        os.close(file)


def remove(top: str) -> None:
    """Remove a tree that lies in the lower layer."""
    run("rm", "-r", f"{top}/tree")


def sequential(top: str) -> None:
    """Read a big file from one end to the other."""
    buffer = bytearray(1 << 20)
    with open(f"{top}/big", "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def copyup(top: str) -> None:
    """Append one byte to the big file, which copies it up."""
    with open(f"{top}/big", "ab", buffering=0) as file:
        file.write(b"x")


def git(top: str) -> None:
    """Ask git what is changed: nothing."""
    run("git", "-C", f"{top}/repo", "status", "--porcelain")


def run(*argv: str) -> None:
    """Run a program to its end."""
    status = os.waitpid(os.posix_spawnp(argv[0], argv, os.environ), 0)[1]
    if status:
        sys.exit(f"{' '.join(argv)}: exit status {os.waitstatus_to_exitcode(status)}")


#: In this order: what writes most comes last, and git status before it.
WORKLOADS = {work.__name__: work for work in (stat, read, sequential, git, create, remove, copyup)}


def main(top: str, *names: str) -> None:
    """Do the work and say how long it took."""
    took = {}
    for name in names:
        before = time.perf_counter()
        WORKLOADS[name](top)
        took[name] = time.perf_counter() - before
    sys.stdout.write(json.dumps(took))


if __name__ == "__main__":
    main(*sys.argv[1:])

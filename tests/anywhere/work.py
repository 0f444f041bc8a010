"""What a container does in the tests of work: git, archives, removal; then it lists what is there.

Runs inside the container, by the host's Python: work.py DIRECTORY START. It prints JSON.
"""

import hashlib
import json
import os
import stat
import subprocess
import sys

#: The files that git itself makes anew each time: they hold inode numbers and times of the files.
_OWN = ("index",)


def run(*command: str, where: str = ".") -> None:
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr}")


def git(*words: str) -> None:
    run("git", "-C", "clone", *words)


def versions() -> None:
    """Clone, check out, change, commit, pack."""
    run("git", "clone", "--quiet", "--no-hardlinks", "repository", "clone")
    git("config", "remote.origin.url", "repository")
    git("checkout", "--quiet", "old")
    git("checkout", "--quiet", "-b", "work", "main")
    for number in range(0, 400, 7):
        with open(f"clone/{number % 20}/{number}", "a") as file:
            file.write("changed\n")
    git("rm", "--quiet", "-r", "-f", "3")
    git("mv", "4", "moved")
    git("add", "--all")
    git("commit", "--quiet", "--message", "work")
    git("checkout", "--quiet", "old")
    git("checkout", "--quiet", "work")
    git("gc", "--quiet")
    git("fsck", "--strict")
    status = subprocess.check_output(["git", "-C", "clone", "status", "--porcelain"], text=True)
    if status:
        sys.exit(f"git status: {status}")


def archives() -> None:
    """Unpack and pack trees; remove such, and what the lower layer has of them."""
    run("dpkg", "-x", "package.deb", "unpacked")
    run("tar", "--xattrs", "--xattrs-include=user.*", "-cSf", "again.tar", "tree")
    run("mkdir", "copy")
    run("tar", "--xattrs", "--xattrs-include=user.*", "-xpSf", "again.tar", "-C", "copy")
    run("cp", "-a", "tree", "second")
    os.unlink("again.tar")
    run("rm", "-rf", "tree/gone", "second", "removed")
    os.mkdir("removed")
    os.rename("tree/file", "tree/renamed")
    os.chmod("tree/mode", 0o4711)
    os.utime("tree/mode", ns=(10**18, 10**18))
    with open("tree/sparse", "r+b") as file:
        file.seek(5_000_000)
        file.write(b"in the middle")
    os.utime("tree/sparse", ns=(10**18, 10**18))


def listing(start: float) -> dict[str, list[object]]:
    """Give what each file is: kind, mode, owner, times, xattrs, content, and the names it is linked to."""
    found: dict[str, list[object]] = {}
    names: dict[tuple[int, int], str] = {}
    for path, directories, files in os.walk("."):
        directories.sort()
        for name in sorted([*directories, *files]):
            each = os.path.join(path, name)
            if name in _OWN and path.endswith(".git"):
                continue
            its = os.lstat(each)
            kind = stat.S_IFMT(its.st_mode)
            content: object = None
            if stat.S_ISREG(kind):
                with open(each, "rb") as file:
                    content = [its.st_size, hashlib.sha256(file.read()).hexdigest()]
            elif stat.S_ISLNK(kind):
                content = os.readlink(each)
            first = names.setdefault((its.st_dev, its.st_ino), each) if kind != stat.S_IFDIR else each
            links = [its.st_nlink, first] if kind != stat.S_IFDIR else []
            time = its.st_mtime_ns if its.st_mtime < start else "now"
            try:
                attributes = {
                    n: os.getxattr(each, n, follow_symlinks=False).hex()
                    for n in sorted(os.listxattr(each, follow_symlinks=False))
                    if n.startswith("user.") and "overlay" not in n
                }
            except OSError as e:
                attributes = {"error": str(e.errno)}
            owner = [its.st_uid, its.st_gid]
            found[each] = [oct(its.st_mode), owner, time, attributes, content, links]
    return found


def main() -> None:
    os.umask(0o022)
    os.chdir(sys.argv[1])
    for name in sys.argv[3:]:
        {"versions": versions, "archives": archives}[name]()
    json.dump(listing(float(sys.argv[2])), sys.stdout)


if __name__ == "__main__":
    main()

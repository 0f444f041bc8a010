"""Root's container with a user namespace: its root has in the overlay what root has, and no more outside."""

import os
import pathlib
import shutil
import stat
import subprocess

import pytest
from anywhere.people import OwnBundle, Person
from harness import Result

#: Where the container's ids begin on the host.
BASE = 700_000
#: What works in an overlay as root, and fails late where a runtime mounts it from inside the namespace.
_WORK = """
import os
os.chdir("/ov")
print(oct(os.stat("file").st_mode), os.stat("file").st_uid, os.stat("theirs").st_uid)
os.remove("gone")
for name in ("removed", "again"):
    os.remove(f"{name}/below/file")
    os.rmdir(f"{name}/below")
    os.rmdir(name)
os.mkdir("again")
print(os.listdir("again"))
os.mkdir("new")
os.rename("new", "renamed")
with open("file", "a") as file:
    file.write("more")
os.chown("file", 1000, 1000)
os.chmod("theirs", 0o600)
if XATTRS:
    os.setxattr("file", "user.note", b"mine")
    print(os.getxattr("file", "user.note"), os.getxattr("theirs", "user.note"))
print(sorted(os.listdir(".")))
"""


@pytest.fixture
def who() -> str:
    return "root"


@pytest.fixture
def mapped(person: Person, bundle: OwnBundle) -> OwnBundle:
    """Make a container with ids of its own, which may enter the bundle."""
    for directory in (person.directory, bundle.directory):
        directory.chmod(0o711)
    bundle.with_namespace([(0, BASE, 65536)], [(0, BASE, 65536)])
    bundle.with_programs()
    return bundle


def give(path: pathlib.Path, uid: int = BASE) -> None:
    """Give a tree to an id of the container's."""
    for each in (path, *path.rglob("*")):
        os.chown(each, uid, uid)


def test_the_mapped_root_works_as_root_does(
    person: Person, mapped: OwnBundle, runtime: str, backend: str
) -> None:
    lower = mapped.layer("lower", file="x", gone="", theirs="")
    for name in ("removed", "again"):
        (lower / name / "below").mkdir(parents=True)
        (lower / name / "below/file").write_text("")
    os.setxattr(lower / "theirs", "user.note", b"theirs")
    give(lower)
    give(lower / "theirs", BASE + 1000)
    mapped.overlay()
    give(mapped.directory / "upper")
    script = _WORK.replace("XATTRS", str(runtime != "runsc"))  # gVisor has none in the host's directories
    mapped.spec["process"]["args"] = ["python3", "-IS", "-c", script]

    result = person.container(runtime, mapped, "--overlay", backend)

    xattrs = "b'mine' b'theirs'\n" if runtime != "runsc" else ""
    names = "['again', 'file', 'renamed', 'theirs']\n"
    assert result == Result(0, f"0o100644 0 1000\n[]\n{xattrs}{names}", "")
    upper = mapped.directory / "upper"
    assert (upper / "file").read_text() == "xmore"
    assert (upper / "file").stat().st_uid == BASE + 1000
    assert (upper / "theirs").stat().st_uid == BASE + 1000
    assert stat.S_ISCHR((upper / "gone").stat().st_mode)
    assert (upper / "renamed").stat().st_uid == BASE


#: Says of each file what it gives to a user of the container: a program's effective uid, a device's errno.
_PROBE = """
import errno, os, subprocess, sys
def opens(path, flags):
    try:
        os.close(os.open(path, flags))
    except OSError as e:
        return errno.errorcode[e.errno]
    return "opens"
for directory in ("/special", "/ov"):
    print(
        *(subprocess.run([f"{directory}/{name}", "-u"], capture_output=True, text=True).stdout.strip()
          for name in ("root-s", "own", "other-s")),
        *(opens(f"{directory}/{name}", os.O_RDWR) for name in ("null", "loop")),
    )
"""


@pytest.mark.parametrize("user", [0, 1000])
def test_devices_and_setuid_files_give_what_they_give_in_a_root_file_system(
    person: Person, mapped: OwnBundle, runtime: str, backend: str, user: int
) -> None:
    special = mapped.directory / "rootfs/special"
    special.mkdir()
    for name, owner in (("root-s", 0), ("own", BASE), ("other-s", BASE + 5)):
        shutil.copy("/usr/bin/id", special / name)
        os.chown(special / name, owner, owner)
        (special / name).chmod(0o4755)
    for name, kind, number in (("null", stat.S_IFCHR, (1, 3)), ("loop", stat.S_IFBLK, (7, 0))):
        os.mknod(special / name, kind | 0o666, os.makedev(*number))
        (special / name).chmod(0o666)
    subprocess.run(["cp", "--archive", special, mapped.directory / "lower"], check=True)
    mapped.spec["root"]["readonly"] = False
    mapped.overlay()
    give(mapped.directory / "upper")
    mapped.spec["process"]["user"] = {"uid": user, "gid": user}
    if user:
        mapped.spec["process"].pop("capabilities")
    mapped.spec["process"]["args"] = ["python3", "-IS", "-c", _PROBE]

    result = person.container(runtime, mapped, "--overlay", backend)

    assert (result.status, result.err) == (0, "")
    there, here = result.out.splitlines()
    assert here == there
    # Programs of the host's root, of the container's, of its user 5: gVisor knows no set-user-ID here.
    assert here.split()[:3] == ([str(user)] * 3 if runtime == "runsc" else [str(user), "0", "5"])

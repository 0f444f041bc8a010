"""hack/matrix on QEMU: command lines, initrds, packages; no guest is started here."""

import itertools
import lzma
import os
import pathlib
import struct
import subprocess
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))  # hack/ is not installed

from hack.matrix import initrd, qemu, zfs, zfs_build, zfs_table
from hack.matrix.boot import Disk
from hack.matrix.zfs_table import Row


def test_an_initrd_is_what_cpio_reads(tmp_path: pathlib.Path) -> None:
    files = {
        "bin": initrd.directory(),
        "bin/program": initrd.file(b"odd", executable=True),
        "data": initrd.file(b"12345678"),
    }
    subprocess.run(["busybox", "cpio", "-i"], input=initrd.archive(files), cwd=tmp_path, check=True)

    assert files == {
        str(path.relative_to(tmp_path)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in tmp_path.rglob("*")
    }


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (b"\x7fELF\0license=GPL\0depends=\0intree=Y\0", []),
        (b"\x7fELF\0depends=virtio-ring,9pnet\0name=x\0", ["virtio_ring", "9pnet"]),
        (b"\x7fELF without any such text", []),
        (b"\x7fELF\0softdepends=no\0depends=yes\0", ["yes"]),
    ],
)
def test_a_module_says_what_it_needs(module: bytes, expected: list[str]) -> None:
    assert expected == initrd.depends(module)


def test_modules_come_after_what_they_need_and_once() -> None:
    needs = {"zfs": "zcommon,spl", "zcommon": "spl", "spl": "", "9p": "9pnet", "9pnet": "", "unused": ""}
    modules = {name: f"\0depends={text}\0".encode() for name, text in needs.items()}

    order = list(initrd.load_order(["zfs", "9p", "spl"], modules.__getitem__))

    expected = ["spl", "zcommon", "zfs", "9pnet", "9p"]
    assert expected == order


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("", []),
        ("linux-image-6.1.0-50-amd64 (= 6.1.176-1)\n", ["linux-image-6.1.0-50-amd64"]),
        ("libc6 (>= 2.34), init | sysvinit, python3:any", ["libc6", "init", "python3:any"]),
    ],
)
def test_a_depends_field_is_read(field: str, expected: list[str]) -> None:
    assert expected == zfs_build.depends(field)


def test_a_library_has_the_name_that_it_is_asked_for() -> None:
    assert zfs_build.soname("libzfs_core.so.3.0.0") == "libzfs_core.so.3"


def test_a_kernel_is_found_in_its_bzimage() -> None:
    payload = lzma.compress(b"\x7fELF the kernel")
    packed = bytearray(4 * 512)
    packed[0x1F1] = 3
    struct.pack_into("<II", packed, 0x248, 100, len(payload))

    kernel = zfs_build.vmlinux(bytes(packed) + bytes(100) + payload + b"its size")

    assert kernel == b"\x7fELF the kernel"


def test_the_hosts_files_are_shared_read_only_and_what_is_given_is_not() -> None:
    guest = qemu.Guest(pathlib.Path("/k/vmlinux"), ())

    line = qemu.arguments(
        guest, pathlib.Path("/tmp/a,b"), pathlib.Path("/results"), [], ["/tmp", "/mnt"], "1G"
    )

    shared = [value for option, value in itertools.pairwise(line) if option == "-fsdev"]
    expected = [
        "local,id=host,path=/,security_model=none,multidevs=remap,readonly=on",
        "local,id=job,path=/tmp/a,,b,security_model=none,multidevs=remap",
        "local,id=results,path=/results,security_model=none,multidevs=remap",
    ]
    assert expected == shared
    assert line[line.index("-append") + 1].endswith(" writable=/tmp:/mnt")


@pytest.mark.parametrize(
    ("disk", "expected"),
    [
        (Disk(pathlib.Path("/a")), "file=/a,if=none,format=raw,cache=unsafe,id=disk0,readonly=off"),
        (
            Disk(pathlib.Path("/a"), read_only=True),
            "file=/a,if=none,format=raw,cache=unsafe,id=disk0,readonly=on",
        ),
    ],
)
def test_a_disk_is_attached(disk: Disk, expected: str) -> None:
    guest = qemu.Guest(pathlib.Path("/k/vmlinux"), ())

    line = qemu.arguments(guest, pathlib.Path("/p"), None, [disk], [], "1G")

    assert ["-drive", expected, "-device", "virtio-blk-pci,drive=disk0"] == line[-4:]


def test_of_several_builds_the_newest_of_this_form_is_used(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert zfs.find("2.1.11") is None
    for age, (kernel, form) in enumerate(
        (("6.1.0-50-amd64", zfs_build.FORM), ("6.1.0-9-amd64", zfs_build.FORM), ("6.1.0-60-amd64", "0"))
    ):
        place = tmp_path / f"ocishim/zfs/2.1.11-{kernel}"
        (place / "modules").mkdir(parents=True)
        (place / "form").write_text(form)
        os.utime(place / "form", (age, age))
        for name in ("001-zfs.ko", "000-spl.ko"):
            (place / "modules" / name).touch()

    place = tmp_path / "ocishim/zfs/2.1.11-6.1.0-9-amd64"
    assert zfs.find("2.1.11") == zfs.Zfs(
        "2.1.11",
        qemu.Guest(place / "vmlinux", (place / "modules/000-spl.ko", place / "modules/001-zfs.ko")),
        place / "tools",
    )


_EINVAL = {"mv file": "EINVAL", "rm -r directory": "EINVAL", "mkdir in its place": "EEXIST"}
_EIO = {"rm -r directory": "EIO", "mkdir in its place": "EEXIST"}


@pytest.mark.parametrize(
    ("version", "row", "expected"),
    [
        ("2.1.11", Row("root", "/tank", "/tank"), _EINVAL),
        ("2.1.11", Row("root", "/tank", "/mnt"), {}),
        ("2.1.11", Row("root", "/mnt", "/tank/on"), _EINVAL),
        ("2.1.11", Row("userns", "/tank", "/tank", ("userxattr",)), _EINVAL),
        ("2.1.11", Row("userns", "/tank", "/tank"), {**_EINVAL, **_EIO}),
        ("2.3.2", Row("root", "/tank", "/tank"), {}),
        ("2.3.2", Row("userns", "/tank", "/tank", ("userxattr",)), {}),
        ("2.3.2", Row("userns", "/tank", "/tank"), _EIO),
        ("2.3.2", Row("userns", "/tank", "/mnt", ("userxattr",)), _EIO),
    ],
)
def test_what_zfs_is_known_to_do(version: str, row: Row, expected: dict[str, str]) -> None:
    assert expected == zfs_table.expected(version, row)

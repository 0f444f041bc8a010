"""Builds Debian's zfs-dkms for Debian's kernel, installs neither, and keeps what a guest needs of both."""

import lzma
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys

from . import initrd, packages, qemu
from .errors import UnavailableError

#: The suite of the kernel, and what is loaded into it. crc32c_generic: ext4 asks for it by what it does.
_KERNEL_SUITE = "bookworm"
_MODULES = (*qemu.NEEDED, "overlay", "fuse", "loop", "squashfs", "crc32c_generic", "ext4", "zfs")
#: Changes when what is kept does: the old is then built anew.
FORM = "1"
#: What the build needs of this machine: packages by a file of theirs. Debian's headers name their compiler.
PACKAGES = {
    "gcc-12": "/usr/bin/gcc-12",
    "make": "/usr/bin/make",
    "perl": "/usr/bin/perl",
    "xz-utils": "/usr/bin/xz",
    "libelf1": "/usr/lib/*-linux-gnu/libelf.so.1",
    "libc6-dev": "/usr/include/*-linux-gnu/sys/types.h",
    "qemu-system-x86": "/usr/bin/qemu-system-x86_64",
    "busybox-static": "/usr/bin/busybox",
}


def make(suite: str, scratch: pathlib.Path, prefix: str) -> None:
    """Build a suite's ZFS in `scratch`, which is removed; `prefix` and the kernel's release name the result.

    The result appears when it is whole. Raises UnavailableError.
    """
    _check_packages()
    shutil.rmtree(scratch, ignore_errors=True)  # of a build that was killed
    scratch.mkdir()
    try:
        release = _unpack_kernel(scratch)
        _unpack_zfs(suite, scratch)
        _build(scratch, release)
        made = _collect(scratch, release)
        shutil.rmtree(f"{prefix}{release}", ignore_errors=True)  # of another form
        made.rename(f"{prefix}{release}")
    finally:
        shutil.rmtree(scratch)


def _check_packages() -> None:
    missing = [name for name, path in PACKAGES.items() if not list(pathlib.Path("/").glob(path[1:]))]
    if missing:
        raise UnavailableError(
            f"needs {', '.join(missing)}; apt-get install --no-install-recommends {' '.join(missing)}"
        )


def depends(field: str) -> list[str]:
    """Give the names of the packages in a Depends field, of alternatives the first."""
    return [part.split()[0] for part in field.split(",") if part.strip()]


def _depends(package: pathlib.Path) -> list[str]:
    field = subprocess.run(
        ["dpkg-deb", "--field", package, "Depends"], check=True, capture_output=True, text=True
    )
    return depends(field.stdout)


def _unpack_kernel(scratch: pathlib.Path) -> str:
    """Unpack the kernel and all that its modules are built with below `scratch`/kernel; give its release."""
    downloads = scratch / "kernel.apt"
    [newest] = packages.download(_KERNEL_SUITE, ["linux-image-amd64"], downloads)
    [image] = [name for name in _depends(newest) if name.startswith("linux-image-")]
    release = image.removeprefix("linux-image-")
    pair = packages.download(_KERNEL_SUITE, [image, f"linux-headers-{release}"], downloads)
    more = [name for name in _depends(pair[1]) if name.startswith("linux-") and name != image]
    root = scratch / "kernel"
    for package in [*pair, *packages.download(_KERNEL_SUITE, more, downloads)]:
        packages.unpack(package, root)
    # The one place that says where it would be installed.
    makefile = root / f"usr/src/linux-headers-{release}/Makefile"
    makefile.write_text(makefile.read_text().replace("/usr/src/", f"{root}/usr/src/"))
    return release


def _unpack_zfs(suite: str, scratch: pathlib.Path) -> None:
    """Unpack the module's source and the tools of the same version, with their libraries."""
    downloads = scratch / "zfs.apt"
    components = f"{suite} contrib"  # apt takes what follows a suite for its components
    dkms, tools = packages.download(components, ["zfs-dkms", "zfsutils-linux"], downloads)
    packages.unpack(dkms, scratch / "zfs")
    libraries = [
        name for name in _depends(tools) if re.fullmatch(r"lib(nvpair|uutil|zfs|zpool)\d+linux", name)
    ]
    for package in [tools, *packages.download(components, libraries, downloads)]:
        packages.unpack(package, scratch / "tools")


def _build(scratch: pathlib.Path, release: str) -> None:
    [source] = (scratch / "zfs").glob("usr/src/zfs-*")
    headers = scratch / "kernel/usr/src"
    common = re.sub(r"-[a-z0-9]+$", "-common", release)
    print(f"building {source.name} for Linux {release}, once: 6 minutes and more", file=sys.stderr)
    with (scratch / "log").open("wb") as log:
        for step in (
            [
                *("./configure", "--disable-dependency-tracking", "--with-config=kernel"),
                *(f"--with-linux={headers}/linux-headers-{common}",),
                *(f"--with-linux-obj={headers}/linux-headers-{release}",),
            ],
            ["make", f"-j{len(os.sched_getaffinity(0))}"],
        ):
            done = subprocess.run(
                ["nice", "-n15", *step],
                cwd=source,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
            )
            if done.returncode:
                end = (scratch / "log").read_text(errors="replace").strip().splitlines()[-5:]
                raise UnavailableError(
                    f"{source.name}: {step[0]} ended with {done.returncode}: {'; '.join(end)}"
                )


def _collect(scratch: pathlib.Path, release: str) -> pathlib.Path:
    """Give a directory of what guests need: vmlinux, modules/ named in the order to load them, tools/."""
    made = scratch / "made"
    (made / "modules").mkdir(parents=True)
    (made / "tools").mkdir()
    [packed] = scratch.glob("kernel/boot/vmlinuz-*")
    (made / "vmlinux").write_bytes(vmlinux(packed.read_bytes()))
    built = list((scratch / "zfs").glob("usr/src/*/module/**/*.ko"))
    subprocess.run(["strip", "--strip-debug", *built], check=True)
    files = {
        path.stem.replace("-", "_"): path
        for path in [*scratch.glob(f"kernel/lib/modules/{release}/kernel/**/*.ko"), *built]
    }
    order = initrd.load_order(_MODULES, lambda name: files[name].read_bytes())
    for number, (name, content) in enumerate(order.items()):
        (made / f"modules/{number:03}-{name}.ko").write_bytes(content)
    for name in ("zpool", "zfs"):
        shutil.copy(scratch / "tools/sbin" / name, made / "tools")
    for library in scratch.glob("tools/**/lib*.so.*"):
        if not library.is_symlink():
            shutil.copy(library, made / "tools" / soname(library.name))
    (made / "form").write_text(FORM)
    return made


def soname(file: str) -> str:
    """Give the name that a library's users know it by: libzfs.so.4 of libzfs.so.4.2.0."""
    stem, _, version = file.partition(".so.")
    return f"{stem}.so.{version.split('.')[0]}"


def vmlinux(packed: bytes) -> bytes:
    """Give the kernel of a bzImage, which says where it has it packed, here by xz."""
    setup = ((packed[0x1F1] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", packed, 0x248)
    return lzma.LZMADecompressor().decompress(packed[setup + offset : setup + offset + length])

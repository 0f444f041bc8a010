"""/proc/PID/mountinfo, read line by line."""

import pytest

from ocishim import mountinfo

OVERLAY = (
    "40 25 0:35 / /merged rw,relatime shared:1 master:2 - overlay overlay "
    "rw,lowerdir=/a\\134:b:/c,upperdir=/u\\054\\0401,workdir=/w,userxattr"
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            OVERLAY,
            ("0:35", "/", "/merged", "rw,relatime", "overlay", "overlay", OVERLAY.rpartition(" ")[2]),
        ),
        (
            "1 2 8:1 /a\\040b /mnt/c\\011d\\134 ro - ext4 /dev/sda1 rw,errors=remount-ro",
            ("8:1", "/a b", "/mnt/c\td\\", "ro", "ext4", "/dev/sda1", "rw,errors=remount-ro"),
        ),
        ("1 2 0:4 / /proc rw - proc none", ("0:4", "/", "/proc", "rw", "proc", "none", "")),
        ("1 2 0:5 net:[40] /n rw - nsfs nsfs rw", ("0:5", "net:[40]", "/n", "rw", "nsfs", "nsfs", "rw")),
    ],
)
def test_a_line_is_a_record(line: str, expected: tuple[str, ...]) -> None:
    [mount] = mountinfo.parse(line + "\n")

    assert expected == tuple(
        getattr(mount, name)
        for name in ("device", "root", "mount_point", "options", "fstype", "source", "super_options")
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("upperdir", "/u, 1"),
        ("lowerdir", "/a\\:b:/c"),
        ("userxattr", ""),
        ("rw", ""),
        ("index", None),
        ("upper", None),
    ],
)
def test_an_option_of_the_file_system_is_found(name: str, value: str | None) -> None:
    [mount] = mountinfo.parse(OVERLAY)

    assert value == mount.super_option(name)


@pytest.mark.parametrize("character", ["\f", "\v", "\x1c", "\x85", "\u2028", "\r", "\udcff"])
def test_only_a_newline_ends_a_line(character: str) -> None:
    text = f"1 2 0:4 / /a{character}b rw - tmpfs tmpfs rw\n{OVERLAY}\n"

    points = [mount.mount_point for mount in mountinfo.parse(text)]

    assert [f"/a{character}b", "/merged"] == points


def test_this_process_has_mounts() -> None:
    with open("/proc/self/mountinfo", "rb") as file:
        text = file.read().decode("utf-8", "surrogateescape")

    mounts = list(mountinfo.parse(text))

    assert text.count("\n") == len(mounts)
    assert "/proc" in [mount.mount_point for mount in mounts]

"""Layers that ocishim refuses, made by scripts: the table of test_findings_refused.py."""

import sys

from kernel.asked import FUSE, RW, USER, Case

ON_K = ("lowerdir=l", "upperdir=k/u", "workdir=k/w")
#: ocishim with less patience than its 10 s, as a program for python.
IMPATIENT = f"""{sys.executable} -I -c '
import sys
from ocishim import patience, shim
patience.LIMIT = 0.5
sys.exit(shim.main())'"""


def userns(disk: int, shown: int) -> dict[str, object]:
    """Give a spec with a user namespace of a single id."""
    mappings = [{"containerID": disk, "hostID": shown, "size": 1}]
    linux = {"namespaces": [{"type": "user"}], "uidMappings": mappings, "gidMappings": mappings}
    return {"linux": linux}


#: The finding, and what is special: how it is made, what is said.
CASES: dict[str, Case] = {
    "OVL-LOW-02": Case(
        "mount -t tmpfs t l/d",
        (
            "lowerdir=B/l has mounts below it (B/l/d), which this user namespace may not look behind "
            "[fsconfig: EINVAL, invalid argument]"
        ),
        who=USER,
    ),
    "OVL-LOW-05": Case(
        "fuse l 65534",
        "lowerdir=B/l is a FUSE mount that answers EACCES to uid 0",
    ),
    "OVL-LOW-19": Case(
        "",
        "lowerdir=B/l/f is not a directory",
        ("lowerdir=l/f", *RW[1:]),
    ),
    "OVL-LOW-21": Case(
        "",
        "lowerdir=B/none: does not exist",
        ("lowerdir=none", *RW[1:]),
    ),
    "OVL-LOW-22 metacopy": Case(
        "overlay o l metacopy=on; chmod 600 o/f; umount o",
        (
            "lowerdir=B/o-u/f was written with trusted.overlay.metacopy, which this mount does not "
            "follow: files would be unreadable or zeros"
        ),
        ("lowerdir=o-u:l", *RW[1:]),
    ),
    "OVL-LOW-22 redirect_dir": Case(
        "overlay o l redirect_dir=on; mv o/d o/n; umount o",
        (
            "lowerdir=B/o-u/n was written with trusted.overlay.redirect, which this mount does not "
            "follow: files would be unreadable or zeros"
        ),
        ("lowerdir=o-u:l", *RW[1:], "redirect_dir=nofollow"),
    ),
    "OVL-LOW-23": Case(
        "",
        ("lowerdir=/proc/sys is on proc, which allows no overlay on it [fsconfig: EINVAL, invalid argument]"),
        ("lowerdir=/proc/sys", *RW[1:]),
    ),
    "OVL-LOW-24 sysfs": Case(
        "",
        (
            "lowerdir=/sys/kernel is on sysfs, which shows the kernel: an overlay would change copies of "
            "its files"
        ),
        ("lowerdir=/sys/kernel", *RW[1:]),
    ),
    "OVL-LOW-24 cgroup2": Case(
        "mkdir c; mount -t cgroup2 c c",
        ("lowerdir=B/c is on cgroup2, which shows the kernel: an overlay would change copies of its files"),
        ("lowerdir=c", *RW[1:]),
    ),
    "OVL-LOW-24 securityfs": Case(
        "mkdir c; mount -t securityfs c c",
        (
            "lowerdir=B/c is on securityfs, which shows the kernel: an overlay would change copies of its"
            " files"
        ),
        ("lowerdir=c:l",),
    ),
    "OVL-LOW-25": Case(
        (
            "disk k 32M mkfs.ext4 -q -b 1024; mkdir k/u k/w; mount -t tmpfs t l; echo x >l/f; xattr l/f "
            "user.big $(head -c 9000 /dev/zero | tr '\\0' x)"
        ),
        (
            "lowerdir=B/l has files with more xattrs than upperdir takes: they cannot be copied up "
            "[tried: ENOSPC from writing to a lower file (B/l/f)]"
        ),
        ON_K,
    ),
    "OVL-UNS-01": Case(
        "disk k 32M mkfs.ext4 -q; echo x >k/f; chown 1234 k/f; chmod 666 k/f",
        (
            "lowerdir=B/k has owners that this user namespace does not map: changing such files would "
            "fail [tried: EOVERFLOW from writing to a lower file (B/k/f)]"
        ),
        ("lowerdir=k", *RW[1:]),
        who=USER,
    ),
    "OVL-UNS-04 ramfs": Case(
        "mkdir k; mount -t ramfs r k; mkdir k/l",
        "lowerdir=B/k/l is on ramfs, which kernel K cannot idmap",
        ("lowerdir=l:k/l", *RW[1:], "idmap"),
        spec=userns(0, 100000),
    ),
    "OVL-UNS-04 overlay": Case(
        "overlay o l",
        "lowerdir=B/o is on overlay, which kernel K cannot idmap",
        ("lowerdir=o", *RW[1:], "ridmap"),
        spec=userns(0, 100000),
    ),
    "OVL-UNS-04 FUSE": Case(
        "mkdir k; fuse-overlayfs -o lowerdir=l:u k 2>/dev/null",
        "lowerdir=B/k is on FUSE, which kernel K cannot idmap",
        ("lowerdir=k", *RW[1:], "ridmap"),
        spec=userns(0, 100000),
    ),
    "OVL-UNS-07": Case(
        "overlay o l userxattr; rm -r o/d; mkdir o/d; umount o",
        (
            "lowerdir=B/o-u/d has marks in user.overlay.opaque, and this mount reads trusted.overlay.*: "
            "deleted files would come back"
        ),
        ("lowerdir=o-u:l", *RW[1:]),
    ),
    "OVL-UNS-14 a user": Case(
        "disk k 32M mkfs.ext4 -q; mkdir k/l; echo x >k/l/f",
        "lowerdir=B/k/l: the kernel lets nobody here idmap ext4, or its mount is idmapped already",
        ("lowerdir=k/l", "idmap"),
        who=USER,
        spec=userns(0, 0),
    ),
    "OVL-UNS-15 upperdir": Case(
        "chown -R 1000:1000 l w",
        "upperdir=B/u has files of uid 0 and gid 0, which the mount's mappings leave out: nobody could "
        "change them",
        (*RW, "idmap"),
        spec=userns(1000, 0),
    ),
    "OVL-UNS-15 lowerdir": Case(
        "chown -R 1000:1000 l u w; chown 7:7 l/f; chmod 644 l/f",
        "lowerdir=B/l has files of other ids, which the mount's mappings leave out: nobody could change them "
        "[tried: EACCES from writing to a lower file (B/l/f); EOVERFLOW from deleting a lower file (B/l/f)]",
        (*RW, "idmap"),
        spec=userns(1000, 0),
    ),
    "OVL-UNS-07 userns": Case(
        "overlay o l; rm -r o/d o/f; mkdir o/d; umount o",
        (
            "upperdir=B/o-u has marks in trusted.overlay.*, and this mount reads user.overlay.*: deleted "
            "files would come back"
        ),
        ("lowerdir=l", "upperdir=o-u", "workdir=o-w"),
        who=USER,
    ),
    "OVL-UPP-02": Case(
        "overlay o l; mkdir o/u o/w",
        (
            "upperdir=B/o/u is on overlay, which the kernel does not take as an upper layer [EINVAL, "
            "invalid argument: filesystem on B/o/u not supported as upperdir]"
        ),
        ("lowerdir=l", "upperdir=o/u", "workdir=o/w"),
    ),
    "OVL-UPP-03": Case(
        "mkdir k; fuse-overlayfs -o lowerdir=l,upperdir=u,workdir=w k 2>/dev/null; mkdir k/u k/w",
        (
            "upperdir=B/k/u is on FUSE, which lacks RENAME_WHITEOUT and xattr; a remote upper layer needs"
            " d_type, RENAME_WHITEOUT and xattrs [fsconfig: EINVAL, invalid argument]"
        ),
        ON_K,
    ),
    "OVL-UPP-04": Case(
        "disk k 32M mkfs.ext4 -q -O ^filetype; mkdir k/u k/w",
        (
            "workdir=B/k/w is on ext4 without d_type: deleted files would stay visible and directories "
            "undeletable [tried: EEXIST from deleting a lower file; ENOTEMPTY from rm -r of a lower "
            "directory and mkdir in its place; EEXIST from renaming a lower file]"
        ),
        ON_K,
    ),
    "OVL-UPP-07": Case(
        "disk k 114M mkfs.btrfs -q; btrfs -q subvolume create k/u; mkdir k/w",
        ("upperdir=B/k/u and workdir=B/k/w are in different btrfs subvolumes: nothing could be copied up"),
        ON_K,
    ),
    "OVL-UPP-12 inodes": Case(
        "mkdir k; mount -t tmpfs -o nr_inodes=5 t k; mkdir k/u k/w; touch k/1 k/2",
        "workdir=B/k/w has nothing free: a change of a larger lower file fails with ENOSPC",
        ON_K,
    ),
    "OVL-UPP-12 blocks": Case(
        "mkdir k; mount -t tmpfs -o size=8k t k; mkdir k/u k/w; head -c 8192 /dev/zero >k/z",
        (
            "workdir=B/k/w has too little free: a change of a larger lower file fails with ENOSPC [tried:"
            " ENOSPC from writing to a lower file; ENOSPC from chmod of a lower file; ENOSPC from "
            "renaming a lower file]"
        ),
        ON_K,
    ),
    "OVL-UPP-14": Case(
        "mount --bind u u; mount -o remount,bind,ro u",
        "upperdir=B/u is on a read-only mount",
    ),
    "OVL-UPP-18": Case(
        "mkdir k; mount -t tmpfs t k; mkdir k/u k/w; chattr +i k/u",
        "upperdir=B/k/u is immutable or append-only: nothing could be made or deleted in it",
        ON_K,
    ),
    "OVL-UPP-16": Case(
        "mkdir k; mount -t ramfs r k; mkdir k/u k/w",
        "upperdir=B/k/u is on ramfs, which has neither xattrs nor RENAME_WHITEOUT",
        ON_K,
    ),
    "OVL-FUS-01": Case(
        (
            "mkdir dev; mount -t tmpfs t dev; for n in null zero urandom; do touch dev/$n; mount --bind "
            "/dev/$n dev/$n; done; mount --rbind dev /dev"
        ),
        "/dev/fuse cannot be opened (does not exist): fuse-overlayfs cannot mount",
        ask=FUSE,
        remedy="modprobe fuse",
    ),
    "OVL-FUS-04": Case(
        "echo \"fuse_overlayfs = '/none'\" >>settings",
        "/none is neither in PATH nor where the settings say",
        ask=FUSE,
    ),
    "OVL-FUS-06": Case(
        "fuse l 0; exec 3>&-",
        "B/l is a FUSE mount without a server (ENOTCONN)",
    ),
    "OVL-FUS-13": Case(
        (
            "mkdir o; fuse-overlayfs -o lowerdir=l,upperdir=u,workdir=w o 2>/dev/null; rm -r o/d; mkdir "
            "o/d; umount o"
        ),
        (
            "upperdir=B/u/d/.wh..wh..opq has marks of fuse-overlayfs (.wh..wh..opq): the kernel would "
            "show deleted files again"
        ),
    ),
    "OVL-FUS-14": Case(
        "overlay o l metacopy=on; chmod 600 o/f; umount o",
        "lowerdir=B/o-u/f has trusted.overlay.metacopy, which fuse-overlayfs does not know",
        ("lowerdir=o-u:l", *RW[1:]),
        ask=FUSE,
    ),
    "OVL-LOW-28": Case(
        "fuse l 0",
        "lowerdir=l: no answer within 0.5 s: its file system hangs",
        who=IMPATIENT,
        remedy="look after its server, if it has one; umount -f ends the waiting",
        program="",
    ),
}

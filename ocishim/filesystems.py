"""Kinds of file systems by their magic number (statfs(2)): their names, and what overlays make of them."""

NAMES = {
    0x0187: "autofs",
    0x01021994: "tmpfs",
    0x01021997: "9p",
    0x0BD00BD0: "Lustre",
    0x00C36400: "ceph",
    0x00C0FFEE: "hostfs",
    0x137F: "minix",
    0x19800202: "mqueue",
    0x19830326: "BeeGFS",
    0x1CD1: "devpts",
    0x27E0EB: "cgroup",
    0x28CD3D45: "cramfs",
    0x2FC12FC1: "ZFS",
    0x4006: "FAT",
    0x42494E4D: "binfmt_misc",
    0x43415D53: "smackfs",
    0x4D44: "FAT",
    0x47504653: "GPFS",
    0x517B: "smb",
    0x5346414F: "AFS",
    0x5346544E: "NTFS",
    0x52654973: "reiserfs",
    0x58465342: "XFS",
    0x61756673: "aufs",
    0x62646576: "bdevfs",
    0x62656570: "configfs",
    0x62656572: "sysfs",
    0x63677270: "cgroup2",
    0x64626720: "debugfs",
    0x6165676C: "pstore",
    0x65735546: "FUSE",
    0x65735543: "fusectl",
    0x6969: "NFS",
    0x73636673: "securityfs",
    0x73717368: "squashfs",
    0x74726163: "tracefs",
    0x786F4256: "vboxsf",
    0x794C7630: "overlay",
    0x9123683E: "btrfs",
    0x958458F6: "hugetlbfs",
    0x9660: "isofs",
    0x9FA0: "proc",
    0xAAD7AAEA: "PanFS",
    0xCA451A4E: "bcachefs",
    0xCAFE4A11: "bpf",
    0xDE5E81E4: "efivarfs",
    0xE0F5E1E2: "EROFS",
    0xEF53: "ext4",
    0xF15F: "ecryptfs",
    0xF2F52010: "f2fs",
    0xF97CFF8C: "selinuxfs",
    0xFE534D42: "SMB",
    0xFF534D42: "CIFS",
    0x2011BAB0: "exFAT",
    0x7366746E: "NTFS",
    0x858458F6: "ramfs",
    0xBEEFDEAD: "VMware shared folders",
    0x736675: "UFS",
    0x00011954: "UFS",
    0x3153464A: "JFS",
    0x6E736673: "nsfs",
    0x15013346: "UDF",
    0xBACBACBC: "vmhgfs",
}  # fmt: skip

TMPFS = 0x01021994
RAMFS = 0x858458F6
OVERLAY = 0x794C7630
FUSE = 0x65735546
NFS = 0x6969
BTRFS = 0x9123683E
ZFS = 0x2FC12FC1
GPFS = 0x47504653
ECRYPTFS = 0xF15F
HOSTFS = 0x00C0FFEE
#: They answer EINVAL or break later, as any layer.
CLUSTER = (0x0BD00BD0, 0xAAD7AAEA)
SHARES = (0x517B, 0xFE534D42, 0xFF534D42, 0x01021997, 0x786F4256, 0xBEEFDEAD, 0xBACBACBC)
WITHOUT_XATTRS = (0x4D44, 0x4006, 0x2011BAB0, 0x5346544E, 0x7366746E)
#: They allow no overlay on them (fs/overlayfs/super.c, ovl_dentry_weird, and their stacking depth).
FORBIDDEN = (0x9FA0, 0x958458F6, 0x42494E4D)
#: Views of the kernel: a copy-up gives a file of other content. Of the first, not even reading works.
UNREADABLE_VIEWS = (0x73636673, 0x74726163, 0x64626720)
VIEWS = (*UNREADABLE_VIEWS, 0x62656572, 0x63677270, 0x27E0EB, 0x62656570, 0x6165676C, 0xDE5E81E4)
#: The sizes of their files say nothing: fuse-overlayfs, which goes by them, shows them empty or zero-filled.
WITHOUT_SIZES = (*VIEWS, 0x9FA0, 0x42494E4D)
#: A directory has one inode number there as long as it exists; in others the cache makes it up.
NUMBERED = (0xEF53, 0x58465342, TMPFS, RAMFS, BTRFS, ZFS, 0xF2F52010, 0xCA451A4E, 0x73717368, 0xE0F5E1E2)
#: Somebody else answers for these: a server, which may hang and may change its mind.
REMOTE = (FUSE, NFS, *SHARES, *CLUSTER, GPFS, 0x00C36400, 0x5346414F, 0x19830326, 0x0187)


def name(magic: int) -> str:
    """Name a kind of file system."""
    return NAMES.get(magic) or f"a file system of magic {magic:#x}"

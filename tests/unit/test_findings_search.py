"""Which finding a message of a kernel or a tool, or an errno, leads to."""

import pytest

from ocishim import findings

#: Messages as kernels of several ages, mount(8) and programs print them.
MESSAGES = [
    ("overlayfs: filesystem on '/l' not supported", "OVL-LOW-01"),
    ("overlay: filesystem on /l not supported", "OVL-LOW-01"),
    ("overlayfs: case-insensitive capable filesystem on /l not supported", "OVL-LOW-01"),
    ("overlay: case-insensitive directory on /l not supported", "OVL-LOW-26"),
    ("overlayfs: wrong inherited casefold (d/x)", "OVL-LOW-26"),
    ("overlayfs: filesystem on '/u' not supported as upperdir", "OVL-UPP-02"),
    ("overlay: filesystem on /u not supported as upperdir", "OVL-UPP-02"),
    ("overlayfs: upper fs is r/o, try multi-lower layers mount", "OVL-UPP-14"),
    ("overlay: filesystem on r/u is read-only", "OVL-UPP-14"),
    ("overlayfs: upper fs needs to support d_type.", "OVL-UPP-04"),
    ("overlayfs: upper fs does not support tmpfile.", "OVL-UPP-17"),
    ("overlayfs: upper fs does not support RENAME_WHITEOUT.", "OVL-UPP-01"),
    ("mv: cannot move 'm/a' to a subdirectory of itself, 'm/a2'", "OVL-UPP-01"),
    (
        "overlayfs: upper fs does not support xattr, falling back to index=off and metacopy=off.",
        "OVL-UPP-05",
    ),
    ("overlayfs: upper fs does not support xattr, falling back to index=off,metacopy=off.", "OVL-UPP-05"),
    ("overlayfs: upper fs does not support xattr, falling back to xino=off.", "OVL-UPP-05"),
    ("overlayfs: upper fs does not support xattr.", "OVL-UPP-05"),
    ("[ 4478.862779] overlayfs: failed to set xattr on upper", "OVL-UPP-05"),
    ("overlayfs: try mounting with 'userxattr' option", "OVL-UPP-05"),
    ("overlayfs: ...falling back to redirect_dir=nofollow.", "OVL-OPT-22"),
    ("overlayfs: ...falling back to uuid=null.", "OVL-OPT-22"),
    ('overlayfs: NFS export requires "index=on", falling back to nfs_export=off.', "OVL-OPT-22"),
    ("overlayfs: upper fs missing required features.", "OVL-UPP-03"),
    ("overlayfs: Failed to create volatile/dirty file.", "OVL-OPT-17"),
    ("overlayfs: overlay with incompat feature 'volatile' cannot be mounted", "OVL-OPT-17"),
    (
        "Cannot mount volatile when upperdir has an unseen error. Sync upperdir fs to clear state.",
        "OVL-OPT-17",
    ),
    ("overlayfs: failed to create directory /w/work (errno: 13); mounting read-only", "OVL-OPT-16"),
    ("overlayfs: cleanup of 'w/work' failed (-39)", "OVL-OPT-16"),
    ("overlayfs: failed to clone upperpath", "OVL-LOW-02"),
    ("overlayfs: failed to clone lowerpath", "OVL-LOW-02"),
    ("overlayfs: workdir and upperdir must reside under the same mount", "OVL-OPT-10"),
    ("overlayfs: workdir and upperdir must be separate subtrees", "OVL-OPT-11"),
    ("overlayfs: overlapping lowerdir path", "OVL-OPT-12"),
    ("overlayfs: overlapping upperdir path", "OVL-OPT-12"),
    ("overlayfs: conflicting lowerdir path", "OVL-OPT-12"),
    (
        "overlayfs: upperdir is in-use as upperdir/workdir of another mount, mount with '-o index=off' to "
        "override exclusive upperdir protection.",
        "OVL-OPT-13",
    ),
    (
        "overlayfs: workdir is in-use by another mount, mount with '-o index=off' to override exclusive "
        "workdir protection.",
        "OVL-OPT-13",
    ),
    ("overlayfs: lowerdir is in-use as upperdir/workdir", "OVL-OPT-13"),
    ("mount: /m9: overlay already mounted on /m.", "OVL-OPT-13"),
    (
        "overlayfs: upperdir is in-use as upperdir/workdir of another mount, accessing files from both "
        "mounts will result in undefined behavior.",
        "OVL-OPT-14",
    ),
    ("overlayfs: failed to verify upper root origin", "OVL-OPT-15"),
    ("overlayfs: failed to verify index dir 'origin' xattr", "OVL-OPT-15"),
    ("overlayfs: failed to verify index dir 'upper' xattr", "OVL-OPT-15"),
    ("overlayfs: failed to verify upper (/u, ino=125, err=-116)", "OVL-OPT-15"),
    (
        "overlayfs: try deleting index dir or mounting with '-o index=off' to disable inodes index.",
        "OVL-OPT-15",
    ),
    ("overlayfs: maximum fs stacking depth exceeded", "OVL-KRN-08"),
    ("overlayfs: idmapped layers are currently not supported", "OVL-UNS-03"),
    (
        "OCI runtime error: mount_setattr: Failed to change bind mount attributes: Invalid argument",
        "OVL-UNS-04",
    ),
    ("overlayfs: too many lower directories, limit is 500", "OVL-OPT-02"),
    ("VFS: Legacy: Cumulative options too large", "OVL-OPT-02"),
    ("VFS: Legacy: Option 'upperdir' contained comma", "OVL-OPT-26"),
    ("overlayfs: empty lowerdir", "OVL-OPT-09"),
    ("overlayfs: failed to resolve '/nope': -2", "OVL-LOW-21"),
    ("mount: /m: special device overlay does not exist.", "OVL-LOW-21"),
    ("overlayfs: '/l' not a directory", "OVL-LOW-19"),
    ("overlay: l1/a is not a directory", "OVL-LOW-19"),
    (
        "overlayfs: only single ':' or double '::' sequences of unescaped colons in lowerdir mount "
        "option allowed.",
        "OVL-OPT-09",
    ),
    ("overlayfs: unescaped trailing colons in lowerdir mount option.", "OVL-OPT-09"),
    ("overlayfs: cannot append lower layer", "OVL-OPT-09"),
    ("overlayfs: regular lower layers cannot follow data lower layers", "OVL-OPT-09"),
    ("overlay: regular lower layers cannot follow data layers", "OVL-OPT-09"),
    ("overlay: lowerdir+ and datadir+ cannot follow lowerdir", "OVL-OPT-09"),
    ("overlayfs: at least one non-data lowerdir is required", "OVL-OPT-09"),
    ("overlayfs: lower data-only dirs require metacopy support.", "OVL-OPT-08"),
    (
        "overlayfs: lower data-only dirs require permission to access trusted xattrs",
        "OVL-OPT-23",
    ),
    ("overlayfs: redirect_dir requires permission to access trusted xattrs", "OVL-OPT-23"),
    ("overlayfs: conflicting options: userxattr,metacopy=on", "OVL-OPT-07"),
    ("overlayfs: conflicting options: userxattr,redirect_dir=follow", "OVL-OPT-07"),
    ("overlayfs: conflicting options: nfs_export=on,index=off", "OVL-OPT-07"),
    ('overlayfs: unrecognized mount option "userxattr" or missing value', "OVL-KRN-03"),
    ('overlayfs: unrecognized mount option "volatile" or missing value', "OVL-KRN-04"),
    ('overlayfs: unrecognized mount option "foo=bar" or missing value', "OVL-OPT-25"),
    ("overlay: Unknown parameter 'foo'", "OVL-OPT-25"),
    ("overlay: Bad value for 'index'", "OVL-OPT-25"),
    ("overlay: No changes allowed in reconfigure", "OVL-RUN-12"),
    ("overlayfs: at least 2 lowerdir are needed while upperdir nonexistent", "OVL-KRN-06"),
    ("overlayfs: missing 'lowerdir'", "OVL-OPT-19"),
    ("overlayfs: missing 'workdir'", "OVL-OPT-19"),
    ("overlayfs: missing upperdir or lowerdir or workdir", "OVL-OPT-19"),
    (
        "overlayfs: fs on '/l' does not support file handles, falling back to index=off,nfs_export=off.",
        "OVL-LOW-14",
    ),
    ("overlayfs: fs on '/l' does not support file handles, falling back to index=off.", "OVL-LOW-14"),
    ("overlayfs: fs on '/l' does not support file handles, falling back to xino=off.", "OVL-LOW-14"),
    (
        "overlayfs: null uuid detected in lower fs '/', falling back to xino=off,index=off,nfs_export=off.",
        "OVL-LOW-17",
    ),
    (
        "overlayfs: conflicting uuid detected in lower fs '/', falling back to "
        "xino=off,index=off,nfs_export=off.",
        "OVL-LOW-17",
    ),
    ("overlayfs: refusing to follow metacopy origin for (/big)", "OVL-LOW-22"),
    ("overlayfs: refusing to follow redirect for (/d)", "OVL-LOW-22"),
    ('overlayfs: "xino" feature enabled using 2 upper inode bits.', "OVL-OPT-27"),
    ('overlayfs: "xino=on" is useless with all layers on same fs, ignore.', "OVL-OPT-27"),
    ('overlayfs: option "workdir=w" is useless in a non-upper mount, ignore', "OVL-OPT-19"),
    ("mount: /m: unknown filesystem type 'overlay'.", "OVL-KRN-01"),
    (
        "Error: input/output error: overlay with incompat feature 'volatile' cannot be mounted",
        "OVL-OPT-17",
    ),
    (
        "mount: /m: fsconfig() failed: overlay: No changes allowed in reconfigure.",
        "OVL-RUN-12",
    ),
    ("mount: /m: mount(2) system call failed: Too many levels of symbolic links.", "OVL-OPT-12"),
    ("mount: /m: mount(2) system call failed: Stale file handle.", "OVL-OPT-15"),
    ("unshare: unshare failed: No space left on device", "OVL-KRN-12"),
    ("bwrap: setting up uid map: Permission denied", "OVL-KRN-10"),
    ('audit: apparmor="DENIED" operation="userns_create" info="Userns create restricted"', "OVL-KRN-10"),
    ("sh: 1: cannot create m/f: Value too large for defined data type", "OVL-UNS-01"),
    ("fuse: device not found, try 'modprobe fuse' first", "OVL-FUS-01"),
    ("fusermount3: mount failed: Operation not permitted", "OVL-FUS-02"),
    (
        "fusermount: option allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf",
        "OVL-FUS-03",
    ),
    ("ls: cannot access '/mnt': Transport endpoint is not connected", "OVL-FUS-06"),
    ("unknown argument ignored: metacopy=on", "OVL-OPT-20"),
    ("fuse-overlayfs: fuse-overlayfs only supports redirect_dir=off", "OVL-OPT-20"),
    ("/proc seems to be mounted as readonly, it can lead to unexpected failures", "OVL-FUS-08"),
    (
        "SELinux: mount invalid.  Same superblock, different security settings for (dev loop0, type ext4)",
        "OVL-SEL-04",
    ),
    ('apparmor="DENIED" operation="open" info="Failed name lookup - disconnected path"', "OVL-SEL-05"),
    ('W0101 vfs.go:730] ignoring unknown filesystem type "overlay"', "OVL-RUN-01"),
    ("overlay flag is incompatible with shared file access for rootfs", "OVL-RUN-07"),
]


@pytest.mark.parametrize(("text", "id_"), MESSAGES)
def test_a_message_leads_to_its_finding(text: str, id_: str) -> None:
    assert findings.search(text=text)[0].id == id_


@pytest.mark.parametrize(
    "said",
    [
        "Nov 21 15:46 host kernel: [ 4475.6] overlayfs: {}",
        "mount: /x: fsconfig() failed: overlay: {}.",
        "  <3>{}  ",
        '"{}"',
        "mount: /x: wrong fs type, bad option, bad superblock on overlay, missing codepage or helper "
        "program, or other error.\n dmesg(1) may have more information after failed mount system call.\n{}",
    ],
)
def test_what_stands_around_a_message_does_not_matter(said: str) -> None:
    message = "workdir and upperdir must reside under the same mount"

    assert findings.search(text=said.format(message))[0].id == "OVL-OPT-10"


def test_every_fragment_finds_its_entry() -> None:
    lost = [
        (finding.id, fragment)
        for finding in findings.all()
        for fragment in finding.kernel_says
        if finding not in findings.search(text=fragment)
    ]

    assert lost == []


def test_a_fragment_counts_more_than_an_errno() -> None:
    found = findings.search("ESTALE", "overlayfs: failed to clone lowerpath")

    assert [finding.id for finding in found] == ["OVL-LOW-02"]


def test_an_errno_decides_between_equals() -> None:
    text = "unshare: Operation not permitted, unshare: No space left on device"

    assert findings.search("ENOSPC", text)[0].id == "OVL-KRN-12"


def test_an_errno_alone_gives_all_that_have_it_the_worst_first() -> None:
    found = findings.search("ESTALE")

    assert [(finding.id, finding.severity) for finding in found] == [
        ("OVL-OPT-15", "refuse"),
        ("OVL-LOW-06", "refuse"),
        ("OVL-LOW-24", "refuse"),
        ("OVL-LOW-13", "warn"),
    ]


@pytest.mark.parametrize("text", ["", "all is well", "overlayfs:", "EGGS", "'"])
def test_nothing_is_found_where_nothing_fits(text: str) -> None:
    assert findings.search(text=text) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("22", "EINVAL"),
        ("-22", "EINVAL"),
        ("EINVAL", "EINVAL"),
        ("estale", "ESTALE"),
        ("95", "EOPNOTSUPP"),
        ("ENOTSUP", "EOPNOTSUPP"),
        ("EOPNOTSUPP", "EOPNOTSUPP"),
        ("", ""),
        ("0", ""),
        ("99999", ""),
        ("EGGS", ""),
        ("errorcode", ""),
    ],
)
def test_an_errno_has_a_name(text: str, name: str) -> None:
    assert findings.errno_name(text) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mount(2) failed: Stale file handle", "ESTALE"),
        ("mount(2) = -1 EBUSY (x)", "EBUSY"),
        ("failed (errno: 116)", "ESTALE"),
        ("overlay: err=-40", "ELOOP"),
        ("Operation not supported", "EOPNOTSUPP"),
        ("mount: /m: permission denied.", "EPERM"),
        ("touch: cannot touch '/m/x': Permission denied", "EACCES"),
        ("wrong fs type, bad option, bad superblock on overlay, missing codepage", "EINVAL"),
        ("exec: exited early", ""),
    ],
)
def test_a_text_may_name_an_errno(text: str, name: str) -> None:
    assert findings.errno_in(text) == name

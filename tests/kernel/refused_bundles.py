"""Entries and hosts that ocishim refuses, made by scripts: the table of test_findings_refused.py."""

from kernel.asked import FUSE, NOBODY, RUNSC, RW, USER, Case

ON_K = ("lowerdir=l", "upperdir=k/u", "workdir=k/w")
_SHARED: dict[str, object] = {
    "annotations": {"dev.ocishim/exclusive": "true"},
    "mounts": [
        {"destination": "/0", "type": "overlay", "options": RW},
        {"destination": "/1", "type": "bind", "source": "u", "options": ["bind"]},
    ],
}
_MAPS = {
    "namespaces": [{"type": "user"}],
    "uidMappings": [{"containerID": 0, "hostID": 5000, "size": 1}],
    "gidMappings": [{"containerID": 0, "hostID": 65534, "size": 1}],
}
#: The finding, and what is special: how it is made, what is said.
CASES: dict[str, Case] = {
    "OVL-KRN-08": Case(
        "disk k 32M mkfs.ext4 -q; mkdir k/u k/w; overlay o l; overlay p o",
        (
            "lowerdir=B/p is on overlay that is stacked already: the kernel stacks two levels and no more"
            " [fsconfig: EINVAL, invalid argument]"
        ),
        ("lowerdir=p", *ON_K[1:]),
    ),
    "OVL-KRN-12": Case(
        "",
        "user.max_user_namespaces=0: no further user namespace can be made",
        who=(
            "unshare --user --map-root-user --mount sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; "
            'exec setpriv --bounding-set=-sys_admin "$@"\' sh '
        ),
        where="",
    ),
    # As if it were full: 100,000 real mounts make every other process of the machine wait.
    "OVL-KRN-13": Case(
        "",
        "N mounts in this mount namespace, fs.mount-max allows 100000",
        who="strace -qq -o /dev/null -e trace=mount -e inject=mount:error=ENOSPC:when=2",
        where="",
    ),
    "OVL-KRN-15": Case(
        "",
        "uid 0 has no CAP_SYS_ADMIN here, and may make no user namespace: nothing can be mounted",
        who="setpriv --bounding-set=-sys_admin strace -qq -o /dev/null -e inject=unshare:error=EPERM ",
        where="",
    ),
    "OVL-OPT-02": Case(
        "",
        "501 lower layers: the kernel takes 500",
        (f"lowerdir={':'.join(['l'] * 501)}",),
        where="mounts[0].options: ",
        remedy="merge some of the layers",
    ),
    "OVL-OPT-04": Case(
        "mkdir a:b",
        "lowerdir=B/a does not exist, but B/a:b does: its colon splits the list",
        ("lowerdir=a:b", *RW[1:]),
    ),
    "OVL-OPT-06": Case(
        "mkdir u:u",
        'fuse-overlayfs cannot be given upperdir=B/u:u: it takes options apart at ":"',
        ("lowerdir=l", "upperdir=u\\:u", "workdir=w"),
        ask=FUSE,
    ),
    "OVL-OPT-07": Case(
        "",
        "userxattr and metacopy=on contradict each other",
        (*RW, "userxattr", "metacopy=on"),
        where="mounts[0].options: ",
        remedy="keep one of the two",
    ),
    "OVL-OPT-09": Case(
        "",
        "lowerdir=l:: the list ends with a colon",
        ("lowerdir=l:", *RW[1:]),
        where="mounts[0].options[0]: ",
        remedy="write DIR:DIR, and \\: in a name",
    ),
    "OVL-OPT-10 file systems": Case(
        "mount -t tmpfs t w",
        "workdir=B/w and upperdir=B/u are on different file systems",
    ),
    "OVL-OPT-10 mounts": Case(
        "mount --bind w w",
        "workdir=B/w and upperdir=B/u are on different mounts of one file system",
    ),
    "OVL-OPT-11": Case(
        "mkdir u/w",
        "workdir=B/u/w lies inside upperdir=B/u",
        (*RW[:2], "workdir=u/w"),
    ),
    "OVL-OPT-12": Case(
        "",
        "lowerdir=B/l/d lies inside lowerdir=B/l",
        ("lowerdir=l:l/d", *RW[1:]),
    ),
    "OVL-OPT-13": Case(
        "mkdir o; mount -t overlay -o lowerdir=l,upperdir=u,workdir=w x o",
        "upperdir=B/u is in use by the overlay on B/o",
    ),
    "OVL-OPT-13 a lower layer": Case(
        "overlay o l",
        "lowerdir=B/o-u is in use by the overlay on B/o",
        ("lowerdir=o-u:l", *RW[1:], "index=on"),
    ),
    "OVL-OPT-15 a copy": Case(
        (
            "mkdir o; mount -t overlay -o lowerdir=l,upperdir=u,workdir=w,index=on x o; umount o; "
            "cp -a u u2; cp -a w w2"
        ),
        "workdir=B/w2 has the index of another upper layer than upperdir=B/u2, as a copy of both has",
        ("lowerdir=l", "upperdir=u2", "workdir=w2", "index=on"),
        remedy="mount with index=off, or begin with an upper layer and a workdir of its own",
    ),
    "OVL-OPT-15": Case(
        "mkdir o l2; mount -t overlay -o lowerdir=l,upperdir=u,workdir=w,index=on x o; umount o",
        (
            "upperdir=B/u belongs to other lower layers than lowerdir=B/l2: index=on cannot match them "
            "[ESTALE: upperdir was used with other lower layers and index=on]"
        ),
        ("lowerdir=l2", *RW[1:], "index=on"),
    ),
    "OVL-OPT-16": Case(
        "mkdir -p w/work/a/b/c",
        (
            "workdir=B/w cannot be used (ENOTEMPTY from removing work/work), so the overlay would come up"
            " read-only"
        ),
    ),
    "OVL-OPT-16 a mount": Case(
        "mkdir -p w/work; mount -t tmpfs t w/work",
        (
            "workdir=B/w cannot be used (the kernel could not empty or fill it), so the overlay would "
            "come up read-only"
        ),
    ),
    "OVL-OPT-17": Case(
        "mkdir o; mount -t overlay -o lowerdir=l,upperdir=u,workdir=w,volatile x o; umount o",
        ("upperdir=B/u was mounted volatile before and may be incomplete: B/w/work/incompat/volatile exists"),
    ),
    "OVL-OPT-19": Case(
        "",
        "upperdir=u without workdir",
        RW[:2],
        where="mounts[0].options: ",
        remedy="add workdir=DIR on the same filesystem",
    ),
    "OVL-OPT-20": Case(
        "",
        "metacopy=on, which fuse-overlayfs cannot do",
        (*RW, "metacopy=on"),
        ask=FUSE,
    ),
    "OVL-OPT-22": Case(
        "overlay o l",
        "the kernel dropped index=on: the layers do not allow it",
        ("lowerdir=o", *RW[1:], "index=on"),
    ),
    "OVL-OPT-23": Case(
        "",
        "metacopy=on needs trusted.overlay xattrs, which a user namespace cannot write",
        (*RW, "metacopy=on"),
        who=USER,
    ),
    "OVL-OPT-25 option": Case(
        "",
        'unknown overlay option "colour=red"',
        (*RW, "colour=red"),
        where="mounts[0].options[3]: ",
        remedy="remove it",
    ),
    "OVL-OPT-25 value": Case(
        "",
        '"xino=maybe" is none of on, off, auto',
        (*RW, "xino=maybe"),
        where="mounts[0].options[3]: ",
        remedy="write xino=on",
    ),
    "OVL-RUN-03": Case(
        "ln -s /bin/true runsc",
        "B/u is shared with mounts[0]",
        ask=RUNSC,
        spec=_SHARED,
        where="mounts[1]: ",
        remedy="run it without exclusive access",
    ),
    "OVL-RUN-03 by a flag": Case(
        "ln -s /bin/true runsc",
        "B/u is shared with mounts[0]",
        ask=RUNSC.replace(" create", " --file-access-mounts=exclusive create"),
        spec={"mounts": _SHARED["mounts"]},
        where="mounts[1]: ",
        remedy="run it without exclusive access",
    ),
    "OVL-RUN-08": Case(
        "",
        "number instead of a string",
        where="linux.mountLabel: ",
        remedy='write "…"',
        spec={"linux": {"mountLabel": 1}},
    ),
    "OVL-RUN-09": Case(
        "",
        (
            "not installed: neither in PATH nor in /usr/local/sbin, /usr/local/bin, /usr/sbin, /usr/bin, "
            "/sbin, /bin"
        ),
        ask="--runtime none create --bundle . c1",
        where="--runtime: runtime none: ",
        remedy="install it, or give its path",
    ),
    "OVL-RUN-13": Case(
        "ln -s /bin/true runsc",
        "writes to every mount stay in the sandbox, none reaches an upperdir",
        ask="--runtime ./runsc --overlay2=all:memory create --bundle . c1",
        where="runsc --overlay2=all:memory: ",
        remedy="use --overlay2=root:… or none",
    ),
    "OVL-RUN-14": Case(
        "ln -s /bin/true runsc",
        "runsc would keep what is written to /0 from upperdir",
        ask=RUNSC,
        spec={"annotations": {"dev.gvisor.spec.mount.x.source": "/0"}},
        where='annotations["dev.gvisor.spec.mount.x.source"]: ',
        remedy="remove the mount hint",
    ),
    "OVL-RUN-16": Case(
        "mkdir w2",
        "upperdir=B/u is written to by mounts[0]",
        where="mounts[1]: ",
        more=(("lowerdir=l", "upperdir=u", "workdir=w2"),),
    ),
    "OVL-UNS-11": Case(
        "",
        "id 5000 of the host is not the user's to map; the user's ids are 65534",
        who=NOBODY,
        where="linux.uidMappings[0]: ",
        spec={"linux": _MAPS},
    ),
    "OVL-UNS-12": Case(
        "",
        "1000 is not mapped in the container's user namespace, which has 0 → 65534",
        who=NOBODY,
        where="process.user.uid: ",
        spec={"process": {"user": {"uid": 1000, "gid": 0}}},
    ),
    "OVL-UNS-13": Case(
        "chmod 755 u; chown 1234 u",
        "upperdir=B/u may not be written by uid 0 here: nothing could be made in the overlay",
        who=USER,
    ),
}

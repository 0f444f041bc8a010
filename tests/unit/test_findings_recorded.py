"""Findings that this machine cannot have: what was recorded elsewhere, given to what decides and judges."""

import errno
import json
import os
from collections.abc import Callable

import pytest
from harness import ROOT
from unit.steps import RW, layers, make, overlays

from ocishim import cause, diagnosis, doctor, filesystems, findings, plan
from ocishim.errors import ShimError
from ocishim.probe import facts
from ocishim.probe.here import Here
from ocishim.report import Report
from ocishim.step import Step

#: The kernel with ZFS 2.1.11 as upper layer, on Linux 6.1.
ZFS_LOG = "upper fs does not support RENAME_WHITEOUT"


def refused(*words: str, **magics: int) -> str:
    """Decide on an overlay whose layers `/a`, `/u`… lie on these file systems."""
    [mount] = overlays(words or RW)
    its = layers(mount, {f"/{name}": magic for name, magic in magics.items()})
    with pytest.raises(ShimError) as refusal:
        plan.make([mount], [(its, [])], Here(), "kernel")
    return str(refusal.value)


def step(**magics: int) -> Step:
    """Make the step of an overlay whose layers lie on these file systems."""
    [mount] = overlays(RW)
    return Step(mount, layers(mount, {f"/{name}": magic for name, magic in magics.items()}))


def tried(
    *failed: tuple[str, int, str],
    said: str = "",
    is_initial: bool = True,
    context: str = "",
    **magics: int,
) -> str:
    """Say what a trial means that failed so."""
    made = step(**magics)
    if context:
        made.mount.lsm["context"] = context
    return str(cause.of_trial(made, "kernel", failed, said, Here(is_initial)))


def by_fuse(*failed: tuple[str, int, str], **magics: int) -> str:
    """Say what a trial of fuse-overlayfs means that failed so."""
    return str(cause.of_trial(step(**magics), "fuse", failed, "", Here()))


def mounted(number: int, *words: str, is_initial: bool = True, release: str = "", **magics: int) -> str:
    """Say what the errno of a mount means, as the line of create has it."""
    here = Here(is_initial)
    [made] = make("kernel", [*RW, *words], here=here)
    made = Step(made.mount, layers(made.mount, {f"/{name}": magic for name, magic in magics.items()}))
    [by] = make("kernel", [*RW, *words], here=here)[0].candidates
    page = cause.of_mount(made, by, number, here)
    message = cause.told(made, page, "", [])
    return f"{made.mount.where}: {message}; {remedy(page)}; ocishim explain {page}"


def judged(name: str, what: str, **changes: object) -> str:
    """Give a line of the report on recorded facts, with other values at paths (`userns__make`)."""
    return said(doctor.judge(recorded(name, **changes)), what)


def of_bundle(name: str, what: str, **changes: object) -> str:
    """Give a line of the report on a recorded bundle."""
    bundle = recorded(name, **changes).bundle
    assert bundle
    return said(diagnosis.judge(bundle), what)


def recorded(name: str, **changes: object) -> facts.Facts:
    """Read recorded facts, with other values at paths; a number is a place in a list."""
    document = json.loads((ROOT / f"tests/unit/facts/{name}.json").read_text())
    for path, value in changes.items():
        *parents, last = path.split("__")
        inner = document
        for parent in parents:
            inner = inner[int(parent) if parent.isdecimal() else parent]
        inner[last] = value
    return facts.load(json.dumps(document))


def said(report: Report, what: str) -> str:
    """Give the line of a report on something that has a page."""
    lines = [line for section in report.sections.values() for line in section]
    [line] = [line for line in lines if line.what == what and line.page]
    return f"{line.mark} {line.what}: {line.why}; {line.remedy}; ocishim explain {line.page}"


F = "/a/f"
NO = {"result": "no", "step": "unshare(CLONE_NEWUSER)", "errno": "EPERM", "said": ""}
FULL = {**NO, "errno": "ENOSPC"}
SECCOMP = {"result": "no", "step": "fsopen", "errno": "ENOSYS", "said": ""}
ORDINARY = "uid 65534 can make one and mount in it"
#: The finding, what is asked, and the line without remedy and page.
CASES: dict[str, tuple[Callable[[], str], str]] = {
    "OVL-LOW-01": (
        lambda: mounted(errno.EINVAL, a=0x4D44),
        "mounts[0]: lowerdir=/a is on FAT, which can ignore the case of names; kernel K takes no such layer",
    ),
    "OVL-LOW-04": (
        lambda: tried(("write", errno.EIO, F), a=filesystems.FUSE),
        "mounts[0]: lowerdir=/a is on FUSE: the overlay mounts, but files of that layer cannot be changed "
        "[tried: EIO from writing to a lower file (/a/f)]",
    ),
    "OVL-LOW-06": (
        lambda: refused(a=filesystems.GPFS),
        "mounts[0]: lowerdir=/a is on GPFS, which breaks under the kernel's overlayfs (ESTALE, kernel panic)",
    ),
    "OVL-LOW-07 Lustre": (
        lambda: refused(a=0x0BD00BD0),
        "mounts[0]: lowerdir=/a is on Lustre, which the kernel's overlayfs cannot use as a layer",
    ),
    "OVL-LOW-07 PanFS": (
        lambda: refused(u=0xAAD7AAEA, w=0xAAD7AAEA),
        "mounts[0]: upperdir=/u is on PanFS, which the kernel's overlayfs cannot use as a layer",
    ),
    "OVL-LOW-08": (
        lambda: tried(("create", errno.EACCES, F), a=filesystems.NFS),
        "mounts[0]: lowerdir=/a is on NFSv4 with ACLs, which kernel K copies up as a meaningless xattr "
        "[tried: EACCES from creating a file in a lower directory (/a/f)]",
    ),
    "OVL-LOW-12": (
        lambda: by_fuse(("write", errno.ENOSYS, F), a=filesystems.FUSE),
        "mounts[0]: lowerdir=/a is on FUSE, whose server answers ENOSYS to open for writing [tried: ENOSYS "
        "from writing to a lower file (/a/f)]",
    ),
    "OVL-LOW-09": (
        lambda: tried(("write", errno.EOPNOTSUPP, F), a=0x6A656A63),
        "mounts[0]: lowerdir=/a is on a file system of magic 0x6a656a63, whose server answers "
        "EOPNOTSUPP when a "
        "file is copied up [tried: EOPNOTSUPP from writing to a lower file (/a/f)]",
    ),
    "OVL-LOW-26": (
        lambda: tried(("read", errno.EREMOTE, F)),
        "mounts[0]: lowerdir=/a holds directories that ignore case: their files answer EREMOTE in "
        "the overlay "
        "[tried: EREMOTE from reading a file (/a/f)]",
    ),
    "OVL-UPP-01 ZFS 2.1": (
        lambda: tried(("opaque", errno.EINVAL, ""), ("move", errno.EINVAL, ""), said=ZFS_LOG,
                      u=filesystems.ZFS, w=filesystems.ZFS),
        "mounts[0]: workdir=/w is on ZFS, which has no RENAME_WHITEOUT: renaming and deleting what "
        "is in a lower "
        "layer would fail [tried: EINVAL from rm -r of a lower directory and mkdir in its place; EINVAL from "
        f"renaming a lower file] (kernel log: {ZFS_LOG})",
    ),
    "OVL-UPP-01 ZFS 2.1 recorded": (
        lambda: of_bundle("zfs-2.1", "by the kernel", bundle__mounts__1__candidates=[]),
        "? by the kernel: workdir=/srv/bundle/work is on ZFS, which has no RENAME_WHITEOUT: renaming and "
        "deleting what is in a lower layer would fail [tried: EINVAL from rm -r of a lower directory and "
        f"mkdir in its place; EINVAL from renaming a lower file] (kernel log: {ZFS_LOG})",
    ),
    "OVL-UPP-01 ZFS 2.1 workdir": (
        lambda: of_bundle("zfs-2.1", "workdir=/srv/bundle/work"),
        "? workdir=/srv/bundle/work: no RENAME_WHITEOUT (EINVAL)",
    ),
    "OVL-SEL-01": (
        lambda: tried(("write", errno.EACCES, ""), is_initial=False, context="u:r:container_file_t:s0"),
        "mounts[0]: context=u:r:container_file_t:s0 on an overlay of a user namespace: kernel K refuses "
        "every new file [tried: EACCES from writing to a lower file]",
    ),
    "OVL-SEL-02": (
        lambda: of_bundle(
            "zfs-2.3",
            "lowerdir=/srv/bundle/lower",
            bundle__selinux="system_u:system_r:container_t:s0:c1,c2",
            bundle__mounts__0__layers__2__label="unconfined_u:object_r:user_home_t:s0",
        ),
        "? lowerdir=/srv/bundle/lower: it is labelled unconfined_u:object_r:user_home_t:s0, and the "
        "container's processes system_u:system_r:container_t:s0:c1,c2",
    ),
    "OVL-UPP-08": (
        lambda: mounted(errno.EINVAL, u=filesystems.NFS, w=filesystems.NFS),
        "mounts[0]: upperdir=/u is on NFS, which cannot hold whiteouts and overlay xattrs",
    ),
    "OVL-UPP-09": (
        lambda: mounted(errno.EINVAL, u=0x01021997, w=0x01021997),
        "mounts[0]: upperdir=/u is on 9p, a share that cannot hold whiteouts, owners and overlay xattrs",
    ),
    "OVL-UPP-11": (
        lambda: refused(u=filesystems.ECRYPTFS, w=filesystems.ECRYPTFS),
        "mounts[0]: upperdir=/u is on ecryptfs, itself a stacked file system without what an upper "
        "layer needs",
    ),
    "OVL-FUS-05": (
        lambda: judged("6.1", "/usr/bin/fuse-overlayfs 1.10", fuse__version="fuse-overlayfs: version 1.10"),
        "? /usr/bin/fuse-overlayfs 1.10: known faults: lower layers without ACLs fail (before 1.11), "
        "no colon in "
        "upperdir (before 1.15), wrong directory listings (before 1.16)",
    ),
    "OVL-FUS-10": (
        lambda: judged("6.18", "the server of a FUSE overlay", process__capabilities=["CAP_SYS_ADMIN"]),
        "? the server of a FUSE overlay: it would lack CAP_DAC_OVERRIDE, as ocishim does",
    ),
    "OVL-FUS-07": (
        lambda: by_fuse(("read", errno.EOPNOTSUPP, F), a=0x73717368),
        "mounts[0]: lowerdir=/a is on squashfs without POSIX ACLs: fuse-overlayfs answers EOPNOTSUPP "
        "to all but "
        "the owner [tried: EOPNOTSUPP from reading a file (/a/f)]",
    ),
    "OVL-KRN-01": (
        lambda: judged("6.1-no-modules", "file system overlay"),
        "no file system overlay: neither in /proc/filesystems nor below /lib/modules",
    ),
    "OVL-KRN-04": (
        lambda: mounted(errno.EINVAL, "volatile"),
        "mounts[0]: volatile is not known to this kernel (K); it came with 5.10",
    ),
    "OVL-KRN-10": (
        lambda: judged("6.18", ORDINARY, userns__make=NO,
                       userns__sysctls={"kernel.apparmor_restrict_unprivileged_userns": 1}),
        f"no {ORDINARY}: kernel.apparmor_restrict_unprivileged_userns=1 (EPERM from unshare(CLONE_NEWUSER))",
    ),
    "OVL-KRN-11": (
        lambda: judged("6.18", ORDINARY, userns__make=NO,
                       userns__sysctls={"kernel.unprivileged_userns_clone": 0}),
        f"no {ORDINARY}: kernel.unprivileged_userns_clone=0 (EPERM from unshare(CLONE_NEWUSER))",
    ),
    "OVL-KRN-14": (
        lambda: judged("6.18", "new mount API", kernel__new_mount_api=SECCOMP),
        "no new mount API: ENOSYS from fsopen: mount(2) is used",
    ),
    "OVL-UNS-05": (
        lambda: judged("6.18-userns", "this is the initial user namespace"),
        "no this is the initial user namespace: inode no, uid_map no, trusted xattrs no",
    ),
    "OVL-KRN-17": (
        lambda: judged("6.18", "this is a gVisor sandbox", kernel__is_gvisor=True),
        "? this is a gVisor sandbox: its overlay is not Linux' and lacks parts of it",
    ),
    "OVL-KRN-19": (
        lambda: judged("5.10", "layers as descriptors"),
        "no layers as descriptors: EOPNOTSUPP from fsconfig lowerdir+",
    ),
    "OVL-OPT-08": (
        lambda: mounted(errno.EINVAL, "datadir+=/d"),
        "mounts[0]: datadir=/d: this kernel (K) takes data-only layers with metacopy=on only",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_recorded_facts_lead_to_the_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, expected = CASES[name]
    if name in ("OVL-KRN-04", "OVL-LOW-08"):
        monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "h", "5.4.0", "#1", "x86_64")))

    line = asked()

    assert (
        line.replace(os.uname().release, "K")
        == f"{expected}; {remedy(name[:10])}; ocishim explain {name[:10]}"
    )


@pytest.mark.parametrize(
    ("name", "backends"), [("zfs-2.1", ["fuse", "kernel"]), ("zfs-2.3", ["kernel", "kernel"])]
)
def test_zfs_as_upper_and_as_lower_layer(name: str, backends: list[str]) -> None:
    """What doctor BUNDLE found under QEMU: ZFS below ZFS, ZFS below tmpfs; 2.1 is no upper layer."""
    bundle = recorded(name).bundle
    assert bundle
    report = diagnosis.judge(bundle)

    who = {"kernel": "mounted by the kernel", "fuse": "mounted by fuse-overlayfs"}
    places = ("mounts[0] on /data", "mounts[1] on /lower")
    assert [verdict.line.what for verdict in report.verdicts] == [
        f"{place}: {who[backend]}" for place, backend in zip(places, backends, strict=True)
    ]
    assert report.status == 0
    pages = {line.page for lines in report.sections.values() for line in lines if line.page}
    assert pages == {"OVL-LOW-15"} | ({"OVL-UPP-01"} if "2.1" in name else set())


def remedy(id_: str) -> str:
    """Give a finding's remedy."""
    return findings.get(id_).remedy

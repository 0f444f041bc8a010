"""What the facts of a bundle's overlays mean: which would start, by what, what to know before. Pure."""

from . import findings
from .probe.overlays import BundleFacts, LayerFacts, MountFacts
from .report import NO, OK, UNSURE, Line, Report, Verdict, no, unsure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: Less room than this in an upper layer is worth a word: bytes, inodes.
_LITTLE_ROOM = 64 << 20
_FEW_INODES = 1000
#: Who an owner without a mapping looks like (/proc/sys/kernel/overflowuid).
_NOBODY = 65534
_WHO = {"kernel": "the kernel", "fuse": "fuse-overlayfs"}
_QUOTAS = ("usrquota", "grpquota", "prjquota", "usrjquota", "grpjquota")
#: What an upper layer lacks, and the page on it.
_ABILITIES = {
    "d_type": "OVL-UPP-04",
    "RENAME_WHITEOUT": "OVL-UPP-01",
    "whiteouts": "OVL-UNS-06",
    "POSIX ACLs": "OVL-UPP-13",
    "O_TMPFILE": "OVL-UPP-17",
}


def judge(bundle: BundleFacts) -> Report:
    """Say what the facts of a bundle mean."""
    sections = {
        f"{mount.where} on {mount.destination}": tuple(_mount(mount, bundle)) for mount in bundle.mounts
    }
    return Report(sections, tuple(_verdicts(bundle)), f"the bundle {bundle.path}")


def _verdicts(bundle: BundleFacts) -> "Iterator[Verdict]":
    about = f"Bundle {bundle.path}"
    for mount in bundle.mounts:
        what = f"{mount.where} on {mount.destination}"
        if mount.refused:
            why = mount.refused.removeprefix(f"{mount.where}: ")
            yield Verdict(Line(NO, what, why, mount.remedy, mount.page), about=about)
        else:
            yield Verdict(Line(OK, f"{what}: mounted by {_WHO[mount.backend]}"), about=about)
    if bundle.refused:
        yield Verdict(Line(NO, "the bundle", bundle.refused, bundle.remedy, bundle.page), about=about)
    elif not bundle.mounts:
        yield Verdict(Line(OK, "no overlays: the runtime gets the bundle as it is"), about=about)


def _mount(mount: MountFacts, bundle: BundleFacts) -> "Iterator[Line]":
    for layer in mount.layers:
        yield from _layer(layer, bundle)
    yield from _together(mount)
    for each in mount.candidates:
        who = _WHO[each.backend]
        told = f", with {', '.join(each.options)}" if each.options else ""
        if each.rejected:
            yield Line(UNSURE if mount.backend else NO, f"by {who}", each.rejected, each.remedy, each.page)
        elif each.backend == mount.backend:
            yield Line(OK, f"by {who}{told}: a trial went well")
        elif mount.backend:
            yield Line(OK, f"by {who}{told}: not needed, not tried")
        for option, why in each.added.items():
            if each.backend == mount.backend:
                yield Line(OK, f"{option} is added: {why}")


def _layer(layer: LayerFacts, bundle: BundleFacts) -> "Iterator[Line]":
    what = f"{layer.role}={layer.path}"
    if layer.problem:
        yield Line(NO, what, layer.problem)
        return
    version = f" {bundle.zfs}" if layer.kind == "zfs" and bundle.zfs else ""
    place = f"{layer.kind or layer.name}{version} ({layer.source}) mounted on {layer.mount_point}"
    yield Line(OK, f"{what}: {place}{_room(layer)}")
    if layer.role == "upperdir":
        yield from _upper(layer, what)
    elif layer.role == "workdir":
        yield from _abilities(layer, what, "trusted xattrs" if bundle.is_initial else "user xattrs")
    else:
        yield from _lower(layer, what)
    flags = [flag for flag in ("noexec", "nosuid", "nodev") if flag in layer.options.split(",")]
    if flags and layer.role != "workdir":
        yield unsure(what, f"its mount has {', '.join(flags)}, which the overlay has not", "OVL-UNS-09")
    if "idmapped" in layer.options.split(","):
        yield Line(OK, f"{what}: on an idmapped mount")
    if layer.idmap:
        page = {"ENOSYS": "OVL-UNS-03", "EPERM": "OVL-UNS-14"}.get(layer.idmap, "OVL-UNS-04")
        yield no(what, f"it cannot be idmapped ({layer.idmap} from mount_setattr)", page)
    if layer.owner == _NOBODY and not bundle.is_initial:
        yield unsure(what, "its owner is not mapped in this user namespace", "OVL-UNS-02")
    if layer.ignores_case:
        yield unsure(what, "it ignores the case of names", "OVL-LOW-26")
    for mark in layer.marks:
        yield Line(UNSURE, what, f"an earlier overlay left {mark}")


def _room(layer: LayerFacts) -> str:
    if layer.read_only:
        return ", read-only"
    if layer.free < 0 or layer.role not in ("upperdir", "workdir"):
        return ""
    amount, unit = layer.free / (1 << 30), "GiB"
    if amount < 1:
        amount, unit = layer.free / (1 << 20), "MiB"
    return f", {amount:.3g} {unit} free"


def _upper(layer: LayerFacts, what: str) -> "Iterator[Line]":
    if 0 <= layer.free < _LITTLE_ROOM:
        yield unsure(what, f"{layer.free >> 20} MiB are free", "OVL-UPP-12")
    if 0 <= layer.free_inodes < _FEW_INODES:
        yield unsure(what, f"{layer.free_inodes} inodes are free", "OVL-UPP-12")
    quotas = [option for option in layer.super_options.split(",") if option.partition("=")[0] in _QUOTAS]
    if quotas:
        yield unsure(what, f"mounted with {', '.join(quotas)}", "OVL-UPP-15")
    if layer.is_subvolume:
        yield Line(OK, f"{what}: a btrfs subvolume of its own")


def _abilities(layer: LayerFacts, what: str, xattrs: str) -> "Iterator[Line]":
    """Tell what workdir's file system can do; `xattrs` are those that overlayfs writes here."""
    works = [name for name, errno in layer.abilities.items() if not errno]
    if works:
        yield Line(OK, f"{what}: there are {', '.join(works)}")
    for name, errno in layer.abilities.items():
        if errno and name in _ABILITIES:
            yield unsure(what, f"no {name} ({errno})", _ABILITIES[name])
        elif errno and name == xattrs:
            yield Line(UNSURE, what, f"no {name} ({errno})", "", "OVL-UPP-05")


def _lower(layer: LayerFacts, what: str) -> "Iterator[Line]":
    if layer.submounts:
        shown = ", ".join(layer.submounts[:3]) + (" …" if len(layer.submounts) > 3 else "")
        yield unsure(what, f"what is mounted on {shown} is not part of the overlay", "OVL-LOW-03")
    if layer.kind == "overlay":
        yield Line(OK, f"{what}: {findings.get('OVL-LOW-18').title}", page="OVL-LOW-18")
    if layer.file_handles:
        yield Line(OK, f"{what}: no file handles ({layer.file_handles})", page="OVL-LOW-14")


def _together(mount: MountFacts) -> "Iterator[Line]":
    places = {(layer.source, layer.mount_point) for layer in mount.layers if layer.role != "workdir"}
    asked = {option for each in mount.candidates for option in each.options}
    options = {option.partition("=")[0] for option in asked}
    lower = [layer for layer in mount.layers if layer.role != "workdir"]
    if len(lower) == 1:
        what = f"{lower[0].role}={lower[0].path} is the only layer: an empty one is put under it"
        yield Line(OK, what, page="OVL-KRN-06")
    if asked & {"verity=on", "verity=require"} and "metacopy=on" not in asked:
        yield unsure(
            "verity", "it checks files copied up by metadata only, and metacopy is off", "OVL-OPT-24"
        )
    if len(places) > 1 and not mount.read_only and "xino" not in options:
        yield unsure(
            "layers on several file systems", "inode numbers change when a file is copied up", "OVL-LOW-15"
        )
    if not mount.all_seen:
        yield Line(UNSURE, "marks of earlier overlays", "too many files to look at all of them")

"""What the facts of a bundle's overlays mean: which would start, by what, what to know before. Pure."""

from . import findings, labels
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
#: Flags of a layer's mount that protect somebody, and that an overlay does not take over.
_RESTRICTIONS = ("noexec", "nosuid", "nodev")
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
    sections: dict[str, tuple[Line, ...]] = {}
    if bundle.namespace:
        sections["User namespace for the container"] = tuple(Line(OK, line) for line in bundle.namespace)
    sections |= {
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
        yield from _layer(layer, mount, bundle)
        yield from _label(layer, mount, bundle)
    yield from _together(mount)
    yield from _links(mount)
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


def _layer(layer: LayerFacts, mount: MountFacts, bundle: BundleFacts) -> "Iterator[Line]":
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
    flags = [flag for flag in _RESTRICTIONS if flag in layer.options.split(",") and flag not in mount.flags]
    if flags and layer.role != "workdir":
        yield unsure(what, f"its mount has {', '.join(flags)}, which the overlay has not", "OVL-UNS-09")
    if "idmapped" in layer.options.split(","):
        yield Line(OK, f"{what}: on an idmapped mount")
    if layer.idmap:
        page = {"ENOSYS": "OVL-UNS-03", "EPERM": "OVL-UNS-14"}.get(layer.idmap, "OVL-UNS-04")
        yield no(what, f"it cannot be idmapped ({layer.idmap} from mount_setattr)", page)
    if layer.owner == _NOBODY and not bundle.is_initial:
        yield unsure(what, "its owner is not mapped in this user namespace", "OVL-UNS-02")
    if layer.unmapped not in ("", layer.path):
        yield unsure(what, f"{layer.unmapped} belongs to an owner who is not mapped", "OVL-UNS-01")
    if layer.ignores_case:
        yield unsure(what, "it ignores the case of names", "OVL-LOW-26")
    for mark in layer.marks:
        yield Line(UNSURE, what, f"an earlier overlay left {mark}")


def _label(layer: LayerFacts, mount: MountFacts, bundle: BundleFacts) -> "Iterator[Line]":
    """Judge the label of a layer, which an overlay without a context shows."""
    is_written = layer.role == "upperdir"
    is_seen = layer.label and bundle.selinux and not mount.context and layer.role != "workdir"
    if is_seen and not labels.is_usable(layer.label, bundle.selinux, is_written=is_written):
        why = f"it is labelled {layer.label}, and the container's processes {bundle.selinux}"
        yield unsure(f"{layer.role}={layer.path}", why, "OVL-SEL-02")


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
    if layer.written_by:
        why = f"{layer.written_by} writes to it, and what the overlay then shows is undefined"
        yield unsure(what, why, "OVL-LOW-13")
    if layer.file_handles:
        yield Line(OK, f"{what}: no file handles ({layer.file_handles})", page="OVL-LOW-14")


def _together(mount: MountFacts) -> "Iterator[Line]":
    places = {_place(layer) for layer in mount.layers if layer.role != "workdir"}
    asked = {option for each in mount.candidates for option in each.options}
    lower = [layer for layer in mount.layers if layer.role != "workdir"]
    if len(lower) == 1:
        what = f"{lower[0].role}={lower[0].path} is the only layer: an empty one is put under it"
        yield Line(OK, what, page="OVL-KRN-06")
    if asked & {"verity=on", "verity=require"} and "metacopy=on" not in asked:
        yield unsure(
            "verity", "it checks files copied up by metadata only, and metacopy is off", "OVL-OPT-24"
        )
    if len(places) > 1 and not mount.read_only and not asked & {"xino=on", "xino=auto"}:
        yield unsure(
            "layers on several file systems", "inode numbers change when a file is copied up", "OVL-LOW-15"
        )
    for one, other in _alike(lower):
        what = f"{one.role}={one.path} has the same file system UUID as {other.role}={other.path}"
        yield Line(OK, f"{what}: no index, nfs_export and xino=auto", page="OVL-LOW-17")
    if not mount.all_seen:
        yield Line(UNSURE, "marks of earlier overlays", "too many files to look at all of them")


def _place(layer: LayerFacts) -> tuple[str, ...]:
    """Give what tells a layer's file system from others."""
    return (layer.device,) if layer.device else (layer.source, layer.mount_point)


def _alike(lower: "list[LayerFacts]") -> "Iterator[tuple[LayerFacts, LayerFacts]]":
    """Find lower layers on file systems that overlayfs cannot tell apart; squashfs has no UUID at all."""
    known: dict[str, LayerFacts] = {}
    for layer in lower:
        uuid = layer.uuid or ("0" * 32 if layer.kind == "squashfs" else "")
        if uuid and layer.role in ("lowerdir", "datadir"):
            other = known.setdefault(uuid, layer)
            if _place(other) != _place(layer):
                yield layer, other


def _links(mount: MountFacts) -> "Iterator[Line]":
    """Warn of files with several names, which an index alone keeps together."""
    options = {
        option for each in mount.candidates if each.backend == mount.backend for option in each.options
    }
    if mount.read_only or not mount.backend or options & {"index=on", "nfs_export=on"}:
        return
    for layer in mount.layers:
        if layer.hard_links:
            files = "a file" if layer.hard_links == 1 else f"{layer.hard_links} files"
            why = f"{files} with several names: changing one leaves the others as they were"
            yield unsure(f"{layer.role}={layer.path}", why, "OVL-LOW-16")

"""The grammar of mount options: what each word is, and the escapes of \\ : and , in overlay's lists.

Source: Documentation/filesystems/overlayfs.rst, fs/overlayfs/params.c, and the flag names that the OCI
runtime specification gives mounts (config.md, Mounts; config-linux.md).
"""

#: overlay's options and their values: a tuple of words, or None for an option that takes no value.
KERNEL: "dict[str, tuple[str, ...] | None]" = {
    "default_permissions": None,
    "fsync": ("auto", "ordered", "strict", "volatile"),
    "index": ("on", "off"),
    "metacopy": ("on", "off"),
    "nfs_export": ("on", "off"),
    "nooverride_creds": None,
    "override_creds": None,
    "redirect_dir": ("on", "off", "follow", "nofollow"),
    "userxattr": None,
    "uuid": ("on", "off", "auto", "null"),
    "verity": ("on", "off", "require"),
    "volatile": None,
    "xino": ("on", "off", "auto"),
}
#: overlay's options whose value is one path or a list of paths.
PATHS = ("lowerdir", "lowerdir+", "datadir+", "upperdir", "workdir")
#: Options that a Linux security module takes from any file system's mount.
LSM = ("context", "fscontext", "defcontext", "rootcontext")

#: Words for the mount's own flags: (name of the flag, set or cleared).
FLAGS = {
    word: (flag, is_set)
    for flag, sets, clears in (
        ("ro", ("ro", "rro"), ("rw", "rrw")),
        ("nosuid", ("nosuid", "rnosuid"), ("suid", "rsuid")),
        ("nodev", ("nodev", "rnodev"), ("dev", "rdev")),
        ("noexec", ("noexec", "rnoexec"), ("exec", "rexec")),
        ("nodiratime", ("nodiratime", "rnodiratime"), ("diratime", "rdiratime")),
        ("noatime", ("noatime", "rnoatime"), ("atime", "ratime")),
        ("relatime", ("relatime", "rrelatime"), ("norelatime", "rnorelatime")),
        ("strictatime", ("strictatime", "rstrictatime"), ("nostrictatime", "rnostrictatime")),
        ("sync", ("sync",), ("async",)),
        ("dirsync", ("dirsync",), ()),
        ("lazytime", ("lazytime",), ("nolazytime",)),
    )
    for words, is_set in ((sets, True), (clears, False))
    for word in words
}
#: Flags of a superblock; the others are flags of one mount of it.
SUPERBLOCK_FLAGS = ("sync", "dirsync", "lazytime")
PROPAGATION = (
    "private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable",
)  # fmt: skip
#: Words that shift the owners of the layers. A layer is one mount, so the recursive one means the same.
IDMAP = ("idmap", "ridmap")
#: Words that ask for what is so anyway.
NEUTRAL = ("defaults", "loud", "noiversion", "nomand", "rsymfollow", "silent", "symfollow")


def split(text: str) -> list[str]:
    """Split one element of `options` as mount(2) splits its data: at commas that no `\\` protects.

    An SELinux context has commas too, and stands in quotes: `context="u:r:t:s0:c1,c2"`.
    """
    if "," not in text:
        return [text]
    parts = []
    start = at = 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == '"' and text[start:at].removesuffix("=") in LSM:
            at = text.find('"', at + 1)
            if at < 0:
                break
        elif text[at] == ",":
            parts.append(text[start:at])
            start = at + 1
        at += 1
    parts.append(text[start:])
    return parts


def unescape(text: str) -> str:
    """Read a path: `\\` stands for the character behind it."""
    if "\\" not in text:
        return text
    characters = iter(text)
    return "".join(next(characters, "") if character == "\\" else character for character in characters)


def escape(path: str) -> str:
    """Write a path so that overlay's lists and mount(2)'s data carry it whole."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def lower_list(text: str) -> tuple[list[str], list[str]]:
    """Read a `lowerdir` value: lower layers, top first, and the data-only ones behind `::`.

    Raises ValueError that says what is wrong with the list.
    """
    layers: list[str] = []
    data: list[str] = []
    target = layers
    part = ""
    at = 0
    while at <= len(text):
        end = text.find(":", at)
        if end < 0:
            end = len(text)
        escape = text.find("\\", at, end)
        if escape >= 0:
            part += text[at : escape + 2]
            at = min(escape + 2, len(text))
            continue
        path = unescape(part + text[at:end])
        character = text[end : end + 1]
        at = end + 1
        if not path:
            raise ValueError("empty path in the list" if text else "empty")
        target.append(path)
        part = ""
        if character == ":" and text[at : at + 1] == ":":
            at += 1
            target = data
        elif character == ":" and data is target:
            raise ValueError("a lower layer cannot follow a data-only one: only :: may")
        if character == ":" and at == len(text):
            raise ValueError("the list ends with a colon")
    return layers, data

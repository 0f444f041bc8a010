"""/proc/PID/mountinfo: text in, records out (proc(5))."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Mount:
    """One line: what is mounted where. `options` are the mount's, `super_options` the file system's."""

    __slots__ = ("device", "fstype", "mount_point", "options", "root", "source", "super_options")

    def __init__(self, line: str) -> None:
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        self.device = fields[2]
        self.root = unescape(fields[3])
        self.mount_point = unescape(fields[4])
        self.options = fields[5]
        self.fstype, self.source, self.super_options = [*right.split(" "), "", ""][:3]

    def super_option(self, name: str) -> str | None:
        """Give the value of a file system option, "" for a flag, None where it is not shown."""
        for word in self.super_options.split(","):
            key, _, value = word.partition("=")
            if key == name:
                return unescape(value)
        return None


def parse(text: str) -> "Iterator[Mount]":
    """Read the text of a mountinfo file."""
    for line in text.split("\n"):  # splitlines would cut at a form feed in a path, too
        if line:
            yield Mount(line)


def unescape(text: str) -> str:
    """Read a field: a space, comma, backslash… stands as three octal digits."""
    if "\\" not in text:
        return text
    first, *rest = text.split("\\")
    return first + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)

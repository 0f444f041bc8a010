"""Error types, by who must act, and the words for an errno."""

import errno as _errno

#: What a number means to a person. podman turns any message that contains strerror's words for
#: EPERM, EACCES or ENOENT into a sentence and an exit status of its own, so they are told otherwise,
#: here and where others say them (_SAID).
_WORDS = {
    _errno.EPERM: "EPERM, the kernel refuses it",
    _errno.EACCES: "EACCES, access refused",
    _errno.ENOENT: "does not exist",
    _errno.ENOTDIR: "is not a directory",
    _errno.ELOOP: "ELOOP, symbolic links or layers that contain each other",
}
_SAID = (
    ("no such file or directory", "does not exist"),
    ("permission denied", "access refused"),
    ("operation not permitted", "the kernel refuses it"),
)


class ShimError(Exception):
    """Something a person must act on: one line that says what, on what, why, and what to do.

    `what` names the thing (a JSON path, an option, a command), `why` the reason, `remedy` the way out,
    `page` the finding of the catalogue that says more, "" where there is none.
    """

    def __init__(self, what: str, why: str, remedy: str = "", page: str = "") -> None:
        self.what = what
        self.why = why
        self.remedy = remedy
        self.page = page
        super().__init__(what, why, remedy, page)

    def __str__(self) -> str:
        text = f"{self.what}: {self.why}" if self.what else self.why
        for advice in (self.remedy, f"ocishim explain {self.page}" if self.page else ""):
            if advice:
                text += f"; {advice}"
        for phrase, instead in _SAID:
            text = text.replace(phrase, instead).replace(phrase.capitalize(), instead)
        return printable(text)


class UsageError(ShimError):
    """The command line is wrong: whoever typed or configured it must act."""


class SpecError(ShimError):
    """config.json asks for something that cannot be: its author must act."""


class HostError(ShimError):
    """The host lacks or forbids something: its administrator must act."""


class MountError(ShimError):
    """The kernel, or a FUSE server, said no to a mount. `errno` is the number, 0 where there is none."""

    def __init__(self, what: str, why: str, remedy: str = "", page: str = "", errno: int = 0) -> None:
        self.errno = errno
        super().__init__(what, why, remedy, page)


class SyscallError(OSError):
    """A system call failed: `errno`, `syscall` and `path`, without a meaning."""

    def __init__(self, errno: int, syscall: str, path: str | None = None) -> None:
        import os

        super().__init__(errno, os.strerror(errno), path)
        self.syscall = syscall
        self.path = path

    def __str__(self) -> str:
        on = f" {self.path}" if self.path else ""
        return f"{self.syscall}{on}: {words(self.errno or 0)}"


def words(errno: int) -> str:
    """Say errno: its name and what it means."""
    if errno in _WORDS:
        return _WORDS[errno]
    import os

    # Python names this number by its other name.
    name = "EOPNOTSUPP" if errno == _errno.EOPNOTSUPP else _errno.errorcode.get(errno, str(errno))
    return f"{name}, {os.strerror(errno).lower()}"


def printable(text: str) -> str:
    """Give text in one line and fit for a terminal and a log: control characters are written out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

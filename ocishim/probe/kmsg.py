"""What the kernel logs during an attempt: most of overlayfs' reasons stand in no other place."""

import os

#: SYSLOG_ACTION_READ_ALL
_READ_ALL = 3
#: Whose lines tell of a failed mount.
_ABOUT = ("overlayfs: ", "overlay: ", "fuse: ", "SELinux: ")


def mark(text: str) -> None:
    """Write a line into the kernel's log, where that is allowed: who made the lines before it."""
    try:
        file = os.open("/dev/kmsg", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(file, f"<6>ocishim: {text}".encode(errors="replace"))
    except OSError:
        pass
    finally:
        os.close(file)


def is_gvisor() -> bool:
    """Tell whether this kernel is gVisor's sentry, which says so in the first line of its log (syslog(2))."""
    import ctypes

    text = ctypes.create_string_buffer(1 << 16)
    length = ctypes.CDLL(None).klogctl(_READ_ALL, text, len(text))
    return length > 0 and b"] Starting gVisor" in text.raw[:length].partition(b"\n")[0]


class Watch:
    """The kernel's log from now on. Where it may not be read (dmesg_restrict), it stays silent."""

    __slots__ = ("_file", "_lines")

    def __init__(self) -> None:
        self._file = -1
        self._lines: list[str] = []
        try:
            self._file = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._file, 0, os.SEEK_END)
        except OSError:
            pass

    def said(self, since: int = 0) -> str:
        """Give what overlayfs, FUSE and SELinux have logged since the start, without repetition, in one line.

        `since` is what `now` gave. The log is the whole machine's: lines of another mount at the same moment
        are in it too.
        """
        self.new()
        return ", ".join(dict.fromkeys(self._lines[since:]))

    def now(self) -> int:
        """Give this moment, for `said`: much cheaper than another Watch."""
        self.new()
        return len(self._lines)

    def new(self) -> str:
        """Give what they have logged since this was asked last."""
        lines = []
        while True:
            try:
                record = os.read(self._file, 8192).decode(errors="replace")
            except BrokenPipeError:  # overwritten before it was read; the next is there
                continue
            except OSError:  # EAGAIN: that was all; EBADF: it may not be read
                break
            if not record:  # no log: a sandbox has /dev/null in this place
                break
            text = record.partition(";")[2].partition("\n")[0]
            lines += [text.removeprefix(about).rstrip(".") for about in _ABOUT if text.startswith(about)]
        self._lines += lines
        return ", ".join(lines)

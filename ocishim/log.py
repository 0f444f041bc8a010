"""How a failure leaves ocishim: one line on stderr and one record in the engine's log."""

import os

from .errors import ShimError, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .argv import Invocation


#: Characters of a message; a spec may put a path of a megabyte into one.
_LONGEST = 4000


def fail(error: ShimError, inv: "Invocation") -> int:
    """Report why the container does not start; give the exit status.

    A record has runc's form: containerd shows the last one whose level is "error", podman reads the
    file as a single JSON object.
    """
    message = f"ocishim: {error}"
    if len(message) > _LONGEST:
        message = f"{message[: _LONGEST // 2]} … {message[-_LONGEST // 2 :]}"
    line = message.encode("utf-8", "backslashreplace") + b"\n"
    # crun's --log may name a service in place of a file.
    log = inv.log.removeprefix("file:")
    if log and log != "/dev/stderr" and not log.startswith(("syslog:", "journald:")):
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
            file = os.open(log, flags, 0o644)
            os.write(file, _record(message, inv.log_format))
            os.close(file)
        except OSError as e:
            line += f"ocishim: --log {log}: {words(e.errno or 0)}\n".encode(errors="replace")
    try:
        os.write(2, line)
    except OSError:  # nobody listens; the exit status says it
        pass
    return 1


def _record(message: str, log_format: str) -> bytes:
    import time

    from .jsontext import dumps

    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if log_format == "json":
        text = dumps({"level": "error", "msg": message, "time": now})
    else:
        text = f'time="{now}" level=error msg={dumps(message)}'
    return text.encode("utf-8", "backslashreplace") + b"\n"

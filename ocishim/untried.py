"""Why there is no trial of an overlay, pure: what could not be made, or did not answer, in; an error out."""

from errno import EFBIG, EIO, EMFILE, ENFILE, ENOSPC

from . import filesystems, findings
from .errors import HostError, MountError, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .step import Step


def of_scratch(step: "Step", error: OSError) -> MountError:
    """Say why there can be no scratch version of an overlay in its workdir."""
    errno, where = error.errno or EIO, step.mount.where
    if errno in (EMFILE, ENFILE, EFBIG):
        return MountError(where, f"no trial can be made: {words(errno)}", "raise the limit (ulimit)")
    if getattr(error, "syscall", "system call") != "system call":  # of what is made there, not of workdir
        return MountError(where, f"no trial can be made: {error}")
    gone = of_layer(step, error)
    if gone and error.filename != step.work:
        return gone
    if not error.filename and errno != ENOSPC:  # of a file that was open
        remote = " or ".join(_remote(step)[:3])
        remedy = f"look after the server of {remote}" if remote else ""
        return MountError(where, f"the trial was cut off: {words(errno)}", remedy)
    page = "OVL-UPP-12" if errno == ENOSPC else "OVL-OPT-16"
    finding = findings.get(page)
    values = {"role": "workdir", "path": step.work, "errno": words(errno), "value": "nothing"}
    return MountError(where, finding.message.format(**values), finding.remedy, page)


def of_layer(step: "Step", error: OSError) -> MountError | None:
    """Say that a layer that was looked at cannot be opened any more, None where it is not about one."""
    for layer in step.layers:
        if error.filename and f"{error.filename}/".startswith(layer.path.rstrip("/") + "/"):
            why = f"{layer.role}={error.filename} was there, and then not: {words(error.errno or EIO)}"
            return MountError(step.mount.where, why, "look after who changes it")
    return None


def _remote(step: "Step") -> list[str]:
    return [f"{layer.role}={layer.path}" for layer in step.layers if layer.magic in filesystems.REMOTE]


def blame(step: "Step", error: MountError | HostError) -> MountError | HostError:
    """Name the layer that may hang, where another one was told: an overlay asks all for a directory."""
    remote = _remote(step)
    if error.page != "OVL-LOW-28" or not remote or any(error.what.endswith(each) for each in remote):
        return error
    return HostError(f"{step.mount.where}: {' or '.join(remote[:3])}", error.why, error.remedy, error.page)

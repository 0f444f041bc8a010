"""A command that makes a container: which bundle it means, and whether that has overlays to prepare."""

import gc

from . import bundle, overlay
from .errors import SpecError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .argv import Invocation
    from .runtime import LowLevelRuntime
    from .settings import Settings

_ID = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"


def make(inv: "Invocation", runtime: "LowLevelRuntime", settings: "Settings") -> None:
    """Prepare the container of a create, run or restore; afterwards the runtime can be exec'ed.

    Raises ShimError if the container must not start; then nothing is left mounted once this process ends.
    """
    gc.disable()  # all that is made here lives until exec: looking for garbage takes 1 ms and finds none
    try:
        found, mounts = read(inv)
    except SpecError:
        if inv.id_at < 0:
            return  # not how a container is made: the runtime says how it is used
        raise
    if mounts:
        from . import prepare

        prepare.overlays(inv, runtime, settings, found, mounts)


def read(inv: "Invocation") -> "tuple[bundle.Bundle, list[overlay.OverlayMount]]":
    """Read the bundle that a command line means, and the overlays it asks for.

    Raises UsageError if it means none, SpecError if the bundle is wrong.
    """
    _name_bundle(inv)
    directory = inv.value(inv.bundle_at) if inv.bundle_at >= 0 else "."
    config = inv.value(inv.config_at) if inv.config_at >= 0 else ""
    if config == "config.json":
        config = ""  # crun looks for this name in the bundle, for any other in the current directory
    found = bundle.read(directory, config)
    return found, overlay.find(found.spec)


def _name_bundle(inv: "Invocation") -> None:
    """Give `run BUNDLE` the form that runtimes know: --bundle and an id."""
    if inv.command != "run" or inv.bundle_at >= 0:
        return
    if inv.id_at < 0:
        raise UsageError("run", "no bundle and no container id", "ocishim run BUNDLE")
    import os

    named = inv.words[inv.id_at]
    is_bundle_here = os.path.isfile("config.json")
    if "/" not in named and named not in (".", "..") and is_bundle_here:
        return  # in a bundle's directory a word is an id, as with runc
    if os.path.isfile(f"{named}/config.json"):
        directory = os.path.realpath(named)
        name = "".join(c if c in _ID else "-" for c in os.path.basename(directory)).strip("-.")
        made_up = f"{name[:40] or 'bundle'}-{os.urandom(4).hex()}"
        inv.words[inv.id_at : inv.id_at + 1] = ["--bundle", directory, made_up]
        inv.bundle_at = inv.id_at + 1
        inv.id_at += 2
    elif "/" in named or not is_bundle_here:
        raise UsageError(named, "not a bundle: no config.json there", "name a directory with one")

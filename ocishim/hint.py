"""What was probably meant by a mount option that overlayfs does not know."""

import difflib

from . import options


def on_option(name: str, equals: str) -> str:
    """Say what to write instead; `equals` is "=" for an option with a value, else ""."""
    with_value = [*options.PATHS, *(key for key, values in options.KERNEL.items() if values)]
    without = [*options.FLAGS, *(key for key, values in options.KERNEL.items() if not values)]
    near = difflib.get_close_matches(name.strip(), [*with_value, *without], 1, 0.75)
    if near and name != name.strip():
        return "remove the blank before it"
    if near:
        return f"write {near[0]}=" if near[0] in with_value else f"write {near[0]}"
    return "remove it" if equals else "remove it, or write : between layers and \\, for a comma in a path"

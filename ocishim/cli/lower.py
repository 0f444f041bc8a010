"""The option --lower of own commands: lower layers, top → bottom, as overlay's lowerdir writes them."""

from collections.abc import Callable, Iterator
from typing import Any

import click

from .. import options


def option(callback: Callable[..., Any], *, required: bool = False) -> Callable[[Any], Any]:
    """Give the option; `callback` makes of its values what the command takes."""
    return click.option(
        "--lower",
        metavar="DIR[:DIR…]",
        multiple=True,
        required=required,
        callback=callback,
        type=click.Path(file_okay=False),
        help="The lower layers, top → bottom; may be given several times. A backslash protects a colon.",
    )


def split(values: tuple[str, ...]) -> Iterator[tuple[str, list[str], list[str]]]:
    """Take values apart: each with its lower layers and its data-only ones. Raises click.UsageError."""
    for value in values:
        try:
            lower, data = options.lower_list(value)
        except ValueError as e:
            raise click.UsageError(f"--lower {value}: {e}; write DIR:DIR, and \\: in a name") from None
        yield value, [*lower], [*data]

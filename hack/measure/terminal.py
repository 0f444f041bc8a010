"""How results and progress look: colour and progress at a terminal, plain text in a pipe."""

import sys

from . import report
from .report import Table

_STYLES = {"over": "red", "under": "green"}


def show(head: str, tables: list[Table]) -> None:
    """Write the report to stdout."""
    if not sys.stdout.isatty():
        print(head)
        print("\n".join(map(report.plain, tables)), end="")
        return
    import rich.box
    import rich.console
    import rich.table
    import rich.text

    console = rich.console.Console(highlight=False)
    console.print(head, markup=False)
    for table in tables:
        drawn = rich.table.Table(
            title=table.title,
            title_justify="left",
            caption_justify="left",
            box=rich.box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            pad_edge=False,
            show_edge=False,
        )
        drawn.caption = rich.text.Text(f"\n{table.note}\n")
        for at, column in enumerate(table.columns):
            drawn.add_column(column, justify="right" if at else "left", no_wrap=True)
        for row in table.rows:
            heading = "bold" if len(row) == 1 else ""
            drawn.add_row(*(rich.text.Text(cell, _STYLES.get(cell, heading)) for cell in row))
        console.print(drawn)


def progress(text: str) -> None:
    """Say on stderr what is going on; "" wipes it away."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()

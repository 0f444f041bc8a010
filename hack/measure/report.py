"""The tables for people, pure: results in, text out; how a terminal shows them is left to `terminal`."""

import dataclasses
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from .pairs import Summary
from .rows import Result

#: A terminal's width, which the tables keep to.
WIDTH = 80


@dataclasses.dataclass(frozen=True)
class Table:
    """A table: the first column is text, the others are numbers. A row of one cell is a heading in it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def shim(results: Sequence[Result], bare: Summary) -> Table:
    """Tell ocishim's own time against its budgets; `bare` is the interpreter's start."""
    rows = []
    for each in results:
        assert each.row.budget is not None
        rows.append(
            (
                each.row.label,
                number(each.whole.median * 1000),
                signed(each.compared.median * 1000),
                span(each.compared.low * 1000, each.compared.high * 1000),
                signed(each.row.budget * 1000),
                "over" if each.is_over else "under",
                signed(each.cpu.median * 1000) if each.cpu else "",
            )
        )
    return Table(
        "Start-up: ocishim's own time over a bare interpreter; ms",
        ("", "whole", "over bare", "quartiles", "budget", "", "CPU"),
        tuple(rows),
        f"{bare.count} rounds. bare: python3 -I -S -c pass, {number(bare.median * 1000)} ms. "
        "whole: until the first output "
        "of a runtime that does nothing (busybox echo), whose own cost is taken off in `over bare`. "
        "Compared within each round; then the median of the differences. CPU: over bare, as processor "
        "time, unmounting included; other work on the machine lengthens it less than the rest.",
    )


def run(results: Sequence[Result]) -> Table:
    """Tell what a container costs with and without ocishim, ratio to the bare runtime."""
    return Table(
        "run of a static `true` in a container; ms",
        ("", "median", "quartiles", "ratio", "quartiles"),
        tuple(_with_ratio(results)),
        f"{results[0].compared.count} rounds. ratio: to the bare runtime without an overlay, "
        "in the same round.",
    )


def layers(results: Sequence[Result], titles: Mapping[str, str]) -> Table:
    """Tell how fast I/O is on each way's overlay."""
    rows: list[tuple[str, ...]] = []
    for workload, title in titles.items():
        of_this = [each for each in results if each.row.key.endswith(f"/{workload}")]
        if of_this:
            rows.append((title,))
            rows += [(f"  {cells[0]}", *cells[1:]) for cells in _with_ratio(of_this)]
    return Table(
        "I/O inside the container, warm page cache; ms",
        ("", "median", "quartiles", "ratio", "quartiles"),
        tuple(rows),
        f"{results[0].compared.count} rounds, a fresh upperdir in each. "
        "ratio: to runc's own overlay in the same round. "
        "by hand: mount -t overlay in a private mount namespace, bound into the container. "
        "exclusive: runsc --file-access-mounts=exclusive and a larger --dcache. "
        "runsc has no overlay of its own: it ignores the mount.",
    )


def plain(table: Table) -> str:
    """Write a table as text."""
    lines = [row for row in (table.columns, *table.rows) if len(row) > 1]
    widths = [max(len(row[column]) for row in lines) for column in range(len(table.columns))]
    # A heading may run into the columns behind it, which are empty in its line.
    total = sum(widths) + 2 * (len(widths) - 1)
    text = [table.title, "─" * max(total, len(table.title)), _line(table.columns, widths)]
    text += [_line(row, widths) for row in table.rows]
    return "\n".join([*text, "", textwrap.fill(table.note, WIDTH)]).rstrip() + "\n"


def head(machine: Mapping[str, str], *, is_quick: bool) -> str:
    """Say what was measured on what."""
    versions = ", ".join(f"{name} {machine[name]}" for name in _VERSIONS if machine.get(name))
    lines = [
        f"ocishim {machine['ocishim']}, {machine['time']}",
        f"Linux {machine['kernel']}, {machine['cpus']} x {machine['cpu']}, {machine['memory']}, "
        f"{machine['filesystem']}, load {machine['load']}",
        textwrap.fill(versions, WIDTH, break_on_hyphens=False),
    ]
    if float(machine["load"]) > 0.5 * int(machine["cpus"]):
        lines.append("BUSY: other work was running; ratios and CPU hold better than milliseconds")
    if is_quick:
        lines.append("QUICK: few rounds on small trees, to see a change, not to quote")
    return "\n".join(lines) + "\n"


_VERSIONS = ("python", "runc", "crun", "runsc", "fuse-overlayfs", "git")


def number(value: float) -> str:
    """Write a number with the digits that matter: 0.42, 7.9, 43, 1,234."""
    if abs(value) < 1:
        return f"{value:.2f}"
    return f"{value:.1f}" if abs(value) < 20 else f"{value:,.0f}"


def signed(value: float) -> str:
    """Write a difference: +2.1, -0.3; one digit behind the point."""
    return f"{value:+.1f}"


def span(low: float, high: float) -> str:
    """Write two quartiles."""
    return f"{number(low)} \N{EN DASH} {number(high)}"


def _with_ratio(results: Iterable[Result]) -> Iterable[tuple[str, ...]]:
    for each in results:
        whole, ratio = each.whole, each.compared
        cells = (each.row.label, number(whole.median * 1000), span(whole.low * 1000, whole.high * 1000))
        if each.row.key == each.row.to:
            yield (*cells, "1", "")
        else:
            yield (*cells, f"{ratio.median:.2f}", f"{ratio.low:.2f} \N{EN DASH} {ratio.high:.2f}")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = cells
    padded = [text.rjust(width) for text, width in zip(others, widths[1:], strict=False)]
    return "  ".join([first.ljust(widths[0]), *padded]).rstrip()

"""The picture of a run: start-up against its budgets, run and I/O as ratios."""

import pathlib
from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .rows import Result

_INK = "#333333"
_UNDER = "#2a7f62"
_OVER = "#c0392b"
#: Dark to light by runtime and overlay: runc blue, runsc orange.
_COLOURS = {
    "runc-own": "#222222",
    "runc-hand": "#9ecae1",
    "runc-kernel": "#3182bd",
    "runc-fuse": "#08306b",
    "runsc-hand": "#fdd0a2",
    "runsc-kernel": "#fd8d3c",
    "runsc-exclusive": "#d94801",
    "runsc-fuse": "#7f2704",
}


def draw(
    file: pathlib.Path,
    head: str,
    shim: Sequence[Result],
    run: Sequence[Result],
    io: Sequence[Result],
    titles: Mapping[str, str],
) -> None:
    """Write the picture; a part without results is left out."""
    mpl.rcParams.update({"font.size": 9, "svg.fonttype": "none", "axes.edgecolor": "#bbbbbb"})
    workloads = [name for name in titles if any(each.row.key.endswith(f"/{name}") for each in io)]
    parts = [
        (_shim, shim, 0.9 + 0.34 * len(shim)),
        (_run, run, 0.9 + 0.26 * len(run)),
        (_io, io, 1.3 + 0.55 * len(workloads)),
    ]
    parts = [part for part in parts if part[1]]
    heights = [height for _, _, height in parts]
    figure = Figure(figsize=(9.5, sum(heights) + 0.9), layout="constrained")
    axes = figure.subplots(len(parts), 1, height_ratios=heights, squeeze=False)
    for (paint, results, _), ax in zip(parts, axes[:, 0], strict=True):
        for side in ("top", "right", "left"):
            ax.spines[side].set_visible(False)
        ax.tick_params(length=0, colors=_INK)
        ax.grid(axis="x", color="#e6e6e6", linewidth=0.7)
        ax.set_axisbelow(True)
        if paint is _io:
            _io(ax, results, {name: titles[name] for name in workloads})
        else:
            paint(ax, results)  # type: ignore[operator]  # the two others take no titles
    figure.supxlabel(head.strip(), fontsize=7, color="#777777", x=0.01, ha="left")
    figure.savefig(file)


def _shim(ax: Axes, results: Sequence[Result]) -> None:
    """Draw bars of milliseconds over a bare interpreter, each with its budget as a mark."""
    ax.set_title("ocishim's own time over a bare interpreter, ms (│ budget, ─ quartiles)", loc="left")
    for at, each in enumerate(results):
        median, low, high = (1000 * x for x in (each.compared.median, each.compared.low, each.compared.high))
        budget = 1000 * (each.row.budget or 0)
        ax.barh(at, median, height=0.6, color=_OVER if each.is_over else _UNDER, alpha=0.85)
        ax.plot([low, high], [at, at], color=_INK, linewidth=1.2)
        ax.plot([budget, budget], [at - 0.42, at + 0.42], color="black", linewidth=2)
        ax.annotate(
            f"{median:+.1f}", (max(median, high, budget), at), (6, 0), textcoords="offset points", va="center"
        )
    ax.margins(x=0.1)
    _label(ax, [each.row.label for each in results])


def _run(ax: Axes, results: Sequence[Result]) -> None:
    """Draw ratios to the bare runtime; the bare runtimes themselves are the line at 1."""
    ax.set_title("run of a static true in a container: time as a multiple of the bare runtime's", loc="left")
    ax.axvline(1, color="#222222", linewidth=1)
    shown = [each for each in results if each.row.key != each.row.to]
    for at, each in enumerate(shown):
        ratio = each.compared
        ax.plot([ratio.low, ratio.high], [at, at], color="#3182bd", linewidth=1.5)
        ax.plot(ratio.median, at, "o", color="#3182bd")
        text = f"\N{MULTIPLICATION SIGN}{ratio.median:.2f}, {1000 * each.whole.median:.0f} ms"
        ax.annotate(text, (max(ratio.high, 1), at), (6, 0), textcoords="offset points", va="center")
    ax.margins(x=0.12)
    _label(ax, [each.row.label for each in shown])


def _io(ax: Axes, results: Sequence[Result], titles: Mapping[str, str]) -> None:
    """Draw, for each workload, one point per way on a logarithmic scale."""
    ax.set_title("I/O inside the container: time as a multiple of runc's own overlay (log scale)", loc="left")
    ax.set_xscale("log")
    ax.axvline(1, color="#222222", linewidth=1)
    for band in range(1, len(titles), 2):
        ax.axhspan(band - 0.5, band + 0.5, color="#f6f6f6", zorder=0)
    ways = list(dict.fromkeys(each.row.key.partition("/")[0] for each in results))
    seen = set()
    for each in results:
        way, _, workload = each.row.key.partition("/")
        if each.row.key == each.row.to:
            continue
        at = list(titles).index(workload) + 0.7 * (ways.index(way) / max(len(ways) - 1, 1) - 0.5)
        ratio, colour = each.compared, _COLOURS.get(way, _INK)
        ax.plot([ratio.low, ratio.high], [at, at], color=colour, linewidth=1.5)
        label = "" if way in seen else each.row.label
        ax.plot(ratio.median, at, "o", color=colour, markersize=5, label=label)
        seen.add(way)
    ax.xaxis.set_major_formatter(lambda value, _: f"\N{MULTIPLICATION SIGN}{value:g}")
    ax.xaxis.set_minor_formatter(
        lambda value, _: f"\N{MULTIPLICATION SIGN}{value:g}" if f"{value:e}"[0] in "25" else ""
    )
    ax.legend(loc="upper center", bbox_to_anchor=(0.4, -0.08), ncols=4, frameon=False, fontsize=8)
    _label(ax, list(titles.values()))


def _label(ax: Axes, labels: Sequence[str]) -> None:
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)

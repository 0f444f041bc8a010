"""`ocishim plan`: what `ocishim run` would do with a bundle, said and not done."""

import difflib
import json
import os
import shlex
from collections.abc import Iterator
from typing import Any

import click

from .. import argv, container, namespaces, prepare, rewrite, runtime, settings
from ..bundle import Bundle
from ..overlay import OverlayMount
from ..plan import Step, in_use
from ..probe import holder

_LABEL = 10


@click.command(
    options_metavar="[OPTIONS]", epilog="Exit status: 0 it would start; 1 it would be refused; 2 usage."
)
@click.argument("bundle", metavar="BUNDLE", type=click.Path(exists=True, file_okay=False))
@click.option("--runtime", "name", metavar="NAME|PATH", default="", help="The low-level runtime.")
@click.option("--overlay", "mode", type=click.Choice(settings.MODES), help="Who mounts overlays.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    help="For people, or for programs (schemas/plan.schema.json).",
)
def plan(bundle: str, name: str, mode: str | None, form: str) -> None:
    """Show what `ocishim run BUNDLE` would do: layers top → bottom, who mounts them, what the runtime gets.

    Nothing is mounted and nothing is written. Bundles that would be refused are refused in the same words.
    """
    inv = argv.parse(["run", bundle])
    inv.overlay = mode or ""
    environ = {os.fsencode(key): os.fsencode(value) for key, value in os.environ.items()}
    found_settings = settings.load(environ)
    low_level = runtime.find(name, "ocishim", found_settings, environ)
    inv.words[inv.id_at] = bundle if "/" in bundle else f"./{bundle}"
    found, mounts = container.read(inv)
    steps = _decide(inv, low_level, found_settings, found, mounts)
    new = rewrite.spec(found.text, [(step.mount, _target(step)) for step in steps], low_level.kind)
    words = [low_level.path, *low_level.settings.args, *inv.words]
    if form == "json":
        click.echo(json.dumps(_document(found, low_level, steps, new, words), indent=2))
    else:
        click.echo("\n".join(_text(found, low_level, steps, new, words)))


def _decide(
    inv: argv.Invocation,
    low_level: runtime.LowLevelRuntime,
    found_settings: settings.Settings,
    found: Bundle,
    mounts: list[OverlayMount],
) -> list[Step]:
    if not mounts:
        return []
    steps = prepare.decide(inv, low_level, found_settings, found, mounts).steps
    written = [layer for step in steps for layer in step.written]
    taken = holder.search(written) if written else None
    if taken:
        raise in_use(steps, *taken)
    return steps


def _target(step: Step) -> str:
    return f"{namespaces.STAGE}/{step.mount.index}"


def _document(
    found: Bundle, low_level: runtime.LowLevelRuntime, steps: list[Step], new: str, words: list[str]
) -> dict[str, Any]:
    return {
        "bundle": found.directory,
        "runtime": {"path": low_level.path, "kind": low_level.kind},
        "mounts": [_mount(step) for step in steps],
        "config": {"path": found.config, "diff": list(_diff(found.text, new))},
        "exec": words,
    }


def _mount(step: Step) -> dict[str, Any]:
    candidates: list[dict[str, Any]] = [{"backend": backend, "rejected": ""} for backend in step.backends]
    if step.no_fuse:
        candidates.append({"backend": "fuse", "rejected": f"{step.no_fuse}: fuse-overlayfs cannot do it"})
    return {
        "index": step.mount.index,
        "destination": step.mount.destination,
        "read_only": step.mount.read_only,
        "layers": [{"role": role, "path": path} for role, path in _layers(step)],
        "candidates": candidates,
        "options": {"kernel": step.kernel_options, "fuse": step.fuse},
        "flags": step.mount.flags,
        "mounted_on": _target(step),
    }


def _layers(step: Step) -> Iterator[tuple[str, str]]:
    """Give role and path of each layer, top → bottom; workdir is none but belongs to upperdir."""
    if step.upper:
        yield "upperdir", step.upper
    for path in step.lower:
        yield "lowerdir", path
    for path in step.data:
        yield "datadir", path
    if step.work:
        yield "workdir", step.work


def _text(
    found: Bundle, low_level: runtime.LowLevelRuntime, steps: list[Step], new: str, words: list[str]
) -> Iterator[str]:
    yield _line("bundle", found.directory)
    yield _line("runtime", f"{low_level.path} ({low_level.kind})")
    if not steps:
        yield _line("overlays", "none: the runtime gets the bundle as it is")
    for step in steps:
        yield ""
        yield click.style(f"{step.mount.where}  {step.mount.destination}", bold=True)
        yield from _stack(step)
    diff = list(_diff(found.text, new))
    if diff:
        yield ""
        yield click.style("config.json, as only the runtime sees it", bold=True)
        for line in diff:
            colour = {"-": "red", "+": "green"}.get(line[:1])
            yield click.style(f"  {line}", fg=colour)
    yield ""
    yield click.style("exec", bold=True)
    yield f"  {shlex.join(words)}"


def _stack(step: Step) -> Iterator[str]:
    shown = ""
    for role, path in _layers(step):
        yield _line("" if role == shown else role, path)
        shown = role
    yield _line("mounted", _WHO[step.backends])
    if step.no_fuse:
        yield _line("", f"not by fuse-overlayfs, which cannot do {step.no_fuse}")
    told = [*step.kernel_options, *step.mount.flags]
    if "kernel" in step.backends and told:
        yield _line("options", ", ".join(told))
    if "fuse" in step.backends and step.fuse:
        yield _line("to fuse", ", ".join(step.fuse))
    if step.mount.read_only:
        yield _line("writes", "refused: read-only")


_WHO = {
    ("kernel",): "by the kernel",
    ("fuse",): "by fuse-overlayfs",
    ("kernel", "fuse"): "by the kernel, or by fuse-overlayfs if the kernel refuses",
}


def _line(label: str, text: str) -> str:
    return f"  {label:{_LABEL}}{text}"


def _diff(old: str, new: str) -> Iterator[str]:
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), "config.json", "runtime", lineterm="", n=1
    )
    yield from list(lines)[2:]

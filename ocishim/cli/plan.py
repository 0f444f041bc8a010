"""`ocishim plan`: what `ocishim run` would do with a bundle, said and not done."""

import difflib
import json
import os
import shlex
import textwrap
from collections.abc import Iterator
from typing import Any

import click

from .. import argv, container, namespaces, prepare, rewrite, runtime, settings
from ..bundle import Bundle
from ..candidate import Candidate
from ..idmap import Namespace
from ..overlay import OverlayMount
from ..step import Step
from . import terminal

Chosen = list[tuple[Step, Candidate]]

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

    Each overlay is tried with a scratch upper layer inside its workdir, in a mount namespace that nobody else
    sees; nothing of it stays. Bundles that would be refused are refused in the same words.
    """
    inv = argv.parse(["run", bundle])
    inv.overlay = mode or ""
    environ = {os.fsencode(key): os.fsencode(value) for key, value in os.environ.items()}
    found_settings = settings.load(environ)
    low_level = runtime.find(name, "ocishim", found_settings, environ)
    inv.words[inv.id_at] = bundle if "/" in bundle else f"./{bundle}"
    found, mounts = container.read(inv)
    namespace = prepare.enter(inv, low_level, found, makes=False) if mounts else None
    chosen, edits = _decide(inv, low_level, found_settings, found, mounts, namespace)
    binds = [(step.mount, _target(step)) for step, _ in chosen]
    new = rewrite.spec(found.text, binds, low_level.kind, edits)
    words = [low_level.path, *low_level.settings.args, *inv.words]
    if form == "json":
        click.echo(json.dumps(_document(found, low_level, namespace, chosen, new, words), indent=2))
    else:
        click.echo("\n".join(_text(found, low_level, namespace, chosen, new, words)))


def _decide(
    inv: argv.Invocation,
    low_level: runtime.LowLevelRuntime,
    found_settings: settings.Settings,
    found: Bundle,
    mounts: list[OverlayMount],
    namespace: Namespace | None,
) -> tuple[Chosen, dict[tuple[str | int, ...], object]]:
    if not mounts:
        return [], {}
    decided = prepare.decide(inv, low_level, found_settings, found, mounts, namespace)
    backends = prepare.rehearse(found_settings, decided)
    chosen = [
        (step, next(each for each in step.candidates if each.backend == backend))
        for step, backend in zip(decided.steps, backends, strict=True)
    ]
    return chosen, decided.edits


def _target(step: Step) -> str:
    return f"{namespaces.STAGE}/{step.mount.index}"


def _document(
    found: Bundle,
    low_level: runtime.LowLevelRuntime,
    namespace: Namespace | None,
    chosen: Chosen,
    new: str,
    words: list[str],
) -> dict[str, Any]:
    return {
        "bundle": found.directory,
        "runtime": {"path": low_level.path, "kind": low_level.kind},
        "user_namespace": _user_namespace(namespace) if namespace else None,
        "mounts": [_mount(step, by) for step, by in chosen],
        "config": {"path": found.config, "diff": list(_diff(found.text, new))},
        "exec": words,
    }


def _user_namespace(namespace: Namespace) -> dict[str, Any]:
    return {
        "path": namespace.path,
        "uids": [list(each) for each in namespace.uids],
        "gids": [list(each) for each in namespace.gids],
        "limits": namespace.limits,
    }


def _mount(step: Step, by: Candidate) -> dict[str, Any]:
    return {
        "index": step.mount.index,
        "destination": step.mount.destination,
        "read_only": step.mount.read_only,
        "layers": [{"role": role, "path": path} for role, path in _layers(step)],
        "id_mappings": _mappings(step),
        "backend": by.backend,
        "candidates": [_candidate(each) for each in step.candidates],
        "options": {each.backend: each.words for each in step.candidates},
        "added": [{"option": option, "why": why} for option, why in by.added],
        "flags": step.mount.flags,
        "mounted_on": _target(step),
        "writers": step.writers,
    }


def _mappings(step: Step) -> dict[str, list[dict[str, int]]] | None:
    """Give how owners are shifted, in the words of the spec."""
    idmap = step.mount.idmap
    if not idmap:
        return None
    return {
        kind: [{"containerID": disk, "hostID": shown, "size": size} for disk, shown, size in ranges]
        for kind, ranges in (("uid", idmap.uid), ("gid", idmap.gid))
    }


def _candidate(each: Candidate) -> dict[str, Any]:
    return {
        "backend": each.backend,
        "for": each.pro,
        "against": each.con,
        "rejected": each.rejected.why if each.rejected else "",
        "findings": [each.rejected.page] if each.rejected and each.rejected.page else [],
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
    found: Bundle,
    low_level: runtime.LowLevelRuntime,
    namespace: Namespace | None,
    chosen: Chosen,
    new: str,
    words: list[str],
) -> Iterator[str]:
    yield _line("bundle", found.directory)
    yield _line("runtime", f"{low_level.path} ({low_level.kind})")
    for number, line in enumerate(namespace.describe() if namespace else ()):
        yield _line("" if number else "user ns", line)
    if not chosen:
        yield _line("overlays", "none: the runtime gets the bundle as it is")
    for step, by in chosen:
        yield ""
        yield click.style(f"{step.mount.where}  {step.mount.destination}", bold=True)
        yield from _stack(step, by)
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


def _stack(step: Step, by: Candidate) -> Iterator[str]:
    shown = ""
    for role, path in _layers(step):
        yield _line("" if role == shown else role, path)
        shown = role
    for number, line in enumerate(step.mount.idmap.describe() if step.mount.idmap else ()):
        yield _line("" if number else "owners", line)
    yield _line("mounted", f"{_WHO[by.backend]}: {'; '.join(['a trial went well', *by.pro])}")
    for con in by.con:
        yield _line("but", con)
    why = dict(by.added)
    for number, word in enumerate([*by.words, *step.mount.flags]):
        reason = f"  ({why[word]})" if word in why else ""
        yield _line("" if number else "options", f"{word}{reason}")
    for other in step.candidates:
        if other is not by:
            said = other.rejected.why if other.rejected else "; ".join([*other.con, "not needed"])
            page = f" ({other.rejected.page})" if other.rejected and other.rejected.page else ""
            yield _line("not", f"{_WHO[other.backend]}: {said}{page}")
    if step.mount.read_only:
        yield _line("writes", "refused: read-only")
    for path, who in step.writers.items():
        yield _line("undefined", f"{who} writes to lowerdir={path} (OVL-LOW-13)")


_WHO = {"kernel": "by the kernel", "fuse": "by fuse-overlayfs"}


def _line(label: str, text: str) -> str:
    """Give a line of the plan, wrapped at blanks: a path stays whole."""
    start = f"  {label:{_LABEL}}"
    lines = textwrap.wrap(text, terminal.width() - len(start), break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * len(start)}".join([start + lines[0], *lines[1:]]) if lines else start


def _diff(old: str, new: str) -> Iterator[str]:
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), "config.json", "runtime", lineterm="", n=1
    )
    yield from list(lines)[2:]

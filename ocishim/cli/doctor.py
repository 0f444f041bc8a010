"""`ocishim doctor`: what this host can do for overlays, what it cannot and why, what to do."""

import dataclasses
import json
import os
import pwd
import sys
from collections.abc import Iterator
from typing import TextIO

import click

from .. import argv, container, diagnosis, prepare, redact, refusal, report, runtime, settings
from ..doctor import judge
from ..probe import host, survey
from ..probe.facts import Facts, load
from ..probe.overlays import BundleFacts
from . import page, terminal, text


@click.command(
    options_metavar="[OPTIONS]",
    short_help="Report what this host, or a bundle on it, can do for overlays.",
    epilog="Exit status: 0 fine; 1 overlays would be refused, by the kernel or by fuse-overlayfs, or no "
    "runtime is installed, or with a BUNDLE: the bundle would be refused; 2 usage.",
)
@click.argument("bundle", metavar="[BUNDLE]", required=False, type=click.Path(exists=True, file_okay=False))
@click.option("--runtime", "name", metavar="NAME|PATH", default="", help="The bundle's low-level runtime.")
@click.option(
    "--overlay", "mode", type=click.Choice(settings.MODES), help="Who mounts the bundle's overlays."
)
@click.option(
    "--facts",
    "file",
    metavar="FILE",
    type=click.File("r"),
    help="Judge what --format json printed elsewhere.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "html", "json"]),
    default="text",
    help="For people; a page for a bug report, with the facts; or the facts (schemas/facts.schema.json).",
)
@click.option(
    "--redact",
    "is_redacted",
    is_flag=True,
    help="Put placeholders for names of users and of the host, and for paths that are not the system's.",
)
def doctor(
    bundle: str | None, name: str, mode: str | None, file: TextIO | None, form: str, is_redacted: bool
) -> int:
    """Report what works on this host, what does not and why, and what to do.

    With a BUNDLE also what lies under its layers, and a verdict on each overlay. Each is tried with a scratch
    upper layer inside its workdir, of which nothing stays.

    Most of it is found by trying, on a tmpfs in a mount namespace of its own; nothing of it stays. What the
    kernel refuses meanwhile it says in its log, too: those lines of dmesg are doctor's.

    The marks are ok, no, and ? for what could not be found out or works in part.

    \b
    ocishim doctor --format json >facts.json
    ocishim doctor --facts facts.json          (anywhere)
    ocishim doctor --format html --redact >report.html
    """
    if bundle and file:
        raise click.UsageError("a BUNDLE and --facts: the facts of a bundle are in the file; leave out one")
    facts = _read(file) if file else _look()
    me = os.getuid()
    if bundle:
        facts = dataclasses.replace(facts, bundle=_look_at(bundle, name, mode or ""))
    if is_redacted:
        facts = redact.facts(facts, redact.Placeholders(_secrets(facts, me)))
    try:
        found = report_on(facts)
    except (KeyError, OverflowError, ValueError) as e:
        if not file:
            raise
        raise click.UsageError(
            f"--facts {file.name}: {type(e).__name__}: {e}; no ocishim writes that"
        ) from None
    data = json.dumps(dataclasses.asdict(facts), indent=2)
    if form == "json":
        click.echo(data)
    elif form == "html":
        click.echo(page.render(found, {"Facts, to be judged by ocishim doctor --facts FILE": data}))
    else:
        click.echo(text.render(found))
    return found.status


def report_on(facts: Facts) -> report.Report:
    """Judge a host, and a bundle on it if the facts have one."""
    host_report = judge(facts)
    if not facts.bundle:
        return host_report
    about_host = dataclasses.replace(host_report, verdicts=tuple(_not_counted(host_report)))
    return report.join(facts.bundle.path, about_host, diagnosis.judge(facts.bundle))


def _look() -> Facts:
    without = refusal.without_proc()
    if without:
        raise without
    environ = {os.fsencode(key): os.fsencode(value) for key, value in os.environ.items()}
    found = settings.load(environ)
    with terminal.progress() as show:
        return host.look(found, environ, sys.argv[0], show)


def _look_at(bundle: str, name: str, mode: str) -> BundleFacts:
    inv = argv.parse(["run", bundle if "/" in bundle else f"./{bundle}"])
    environ = {os.fsencode(key): os.fsencode(value) for key, value in os.environ.items()}
    found_settings = settings.load(environ)
    low_level = runtime.find(name, "ocishim", found_settings, environ)
    found, mounts = container.read(inv)
    with terminal.progress() as show:
        show(f"the bundle's {len(mounts)} overlays")
        namespace = prepare.enter(inv, low_level, found, makes=False) if mounts else None
        who = mode or found_settings.overlay
        return survey.look(found, mounts, found_settings, who, low_level.kind, namespace)


def _not_counted(host_report: report.Report) -> Iterator[report.Verdict]:
    """Give the verdicts on the host as what they are beside a bundle: background."""
    for verdict in host_report.verdicts:
        yield dataclasses.replace(verdict, counts=False)


def _read(file: TextIO) -> Facts:
    try:
        return load(file.read())
    except (ValueError, RecursionError) as e:
        raise click.UsageError(
            f"--facts {file.name}: {e}; write it with ocishim doctor --format json"
        ) from None


def _secrets(facts: Facts, me: int) -> redact.Secrets:
    """Name who is here, and the paths of the bundle; other paths the facts tell themselves."""
    users = {os.environ.get(name, "") for name in ("USER", "LOGNAME", "SUDO_USER")}
    homes = {os.environ.get("HOME", "").rstrip("/")} - {"", "/root"}
    for uid in {me, int(os.environ.get("SUDO_UID", "0") or 0)}:
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            continue
        users.add(entry.pw_name)
        homes.add(entry.pw_dir.rstrip("/"))
    node = os.uname().nodename
    hosts = [node, node.partition(".")[0]]
    paths = {home for home in homes if home}
    if facts.bundle:
        layers = [layer for mount in facts.bundle.mounts for layer in mount.layers]
        paths.update(
            path
            for layer in layers
            for path in (layer.path, layer.written, layer.mount_point, layer.unmapped)
        )
        paths.add(facts.bundle.path)
        # Of a network file system the server: host:/path, user@host:, //host/share.
        servers = [
            layer.source.removeprefix("//")
            for layer in layers
            if ":/" in layer.source or "//" in layer.source
        ]
        hosts += [name for each in servers for name in each.partition(":")[0].partition("/")[0].split("@")]
    return redact.Secrets(tuple(sorted(users)), tuple(hosts), tuple(sorted(paths - {"", "/"})))

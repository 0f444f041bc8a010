"""Man pages from what `ocishim COMMAND --help` says: frame and options by click-man, its text as roff."""

import inspect
import pathlib
import re
import textwrap

import click
from click_man.man import ManPage  # type: ignore[import-untyped]  # it has no types

_SEE = ("runc(8)", "crun(1)", "fuse-overlayfs(1)", "mount(8)")
#: Where the epilog of a command goes from here on, it is about this.
_STATUS = "Exit status: "


def write(directory: pathlib.Path, root: click.Group, version: str) -> list[pathlib.Path]:
    """Write the pages of a group and of its commands; give their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    context = click.Context(root, info_name=root.name, **root.context_settings)
    names = [name for name in root.commands if not root.commands[name].hidden]
    found = []
    for name in ("", *names):
        command = root.commands[name] if name else root
        ctx = click.Context(command, info_name=name, parent=context) if name else context
        path = directory / f"{ctx.command_path.replace(' ', '-')}.1"
        path.write_text(_page(ctx, names, version), encoding="utf-8")
        found.append(path)
    return found


def _page(ctx: click.Context, names: list[str], version: str) -> str:
    command = ctx.command
    assert command.help
    title = ctx.command_path.replace(" ", "-")
    page = ManPage(ctx.command_path)
    page.version = f"ocishim {version}"
    page.short_help = _escape((command.short_help or command.get_short_help_str(200)).rstrip("."))
    page.synopsis = _escape(" ".join(command.collect_usage_pieces(ctx))).replace("\\-", "-")
    page.description = _body(command.help)
    page.options = [
        (switches, _fill(text))
        for param in command.get_params(ctx)
        if isinstance(param, click.Option) and (record := param.get_help_record(ctx))
        for switches, text in [record]
    ]
    # A page is named ocishim-doctor, the command `ocishim doctor`; click-man has one name for both.
    frame = re.sub(r"^\\fB(\\-\w),\\fP (\\-\\-\w+)", r"\\fB\1\\fP, \\fB\2\\fP", str(page), flags=re.MULTILINE)
    frame = frame.replace(ctx.command_path.upper(), title.upper(), 1)
    frame = frame.replace(f"{ctx.command_path} Manual", "ocishim", 1).replace("\n.PP\n.nf", "\n.sp\n.nf")
    frame = frame.replace(f"\n{ctx.command_path.replace(' ', chr(92) + '-')} \\- ", f"\n{title} \\- ", 1)
    # Neither options nor names of programs may be taken apart.
    parts = [frame.rstrip("\n").replace("\n.SH NAME", "\n.nh\n.SH NAME", 1)]
    notes, _, status = (command.epilog or "").partition(_STATUS)
    if isinstance(command, click.Group):
        parts.append(".SH COMMANDS")
        for name in names:
            parts += [".TP", f".B {name}", _fill(command.commands[name].get_short_help_str(200))]
            parts += [".br", f"See \\fBocishim\\-{name}\\fP(1)."]
    if notes.strip():
        parts += [".SH NOTES", _body(notes)]
    if status:
        parts += [".SH EXIT STATUS", _body(status)]
    others = [f"ocishim-{name}(1)" for name in names] if isinstance(command, click.Group) else ["ocishim(1)"]
    parts += [".SH SEE ALSO", ",\n".join(_reference(each) for each in (*others, *_SEE))]
    return "\n".join(parts) + "\n"


def _body(text: str) -> str:
    r"""Make paragraphs of a help text into roff; one that begins with \b is shown line by line."""
    parts = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        lines = paragraph.strip("\n").split("\n")
        if lines[0].strip() == "\b":
            parts.append("\n".join([".nf", *map(_escape, lines[1:]), ".fi"]))
        else:
            parts.append(_fill(paragraph))
    return "\n.PP\n".join(parts)


def _fill(text: str) -> str:
    """Wrap a text before it is protected: mandoc wants lines of a patch's length."""
    return "\n".join(map(_escape, textwrap.wrap(text, 72, break_on_hyphens=False, break_long_words=False)))


def _escape(text: str) -> str:
    """Protect what roff would read, and let - be the one that can be copied."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text[:1] in (".", "'") else text


def _reference(page: str) -> str:
    name, _, section = page.partition("(")
    return f"\\fB{_escape(name)}\\fP({section}"

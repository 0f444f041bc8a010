"""A report as text and as an HTML page: whole, safe with hostile text, to be copied from."""

import html.parser
import json
import re

import pytest
from unit.test_doctor import RECORDED, changed, judged

from ocishim import findings
from ocishim.cli import page, text
from ocishim.cli.doctor import report_on
from ocishim.cli.main import main
from ocishim.probe.facts import load
from ocishim.report import Line, Report, Verdict, join

HOSTILE = "<script>alert(1)</script>\"' onload=x &lt; \x1b[31m \u202e \udcff /a b"
DATA = {"Facts": '{"a": "<b>&amp;"}\n\x1b'}
BUNDLE = Report(
    {"Layers": (Line("ok", "lower1"),), "Kernel": (Line("?", "more", "said", "do this", "OVL-KRN-01"),)},
    (
        Verdict(Line("ok", "mounts[1] /data: by the kernel"), about="Bundle /b"),
        Verdict(Line("no", "mounts[2] /x", "no such layer", "make it", "OVL-LOW-21"), about="Bundle /b"),
    ),
    "bundle /b",
)


class Page(html.parser.HTMLParser):
    """The tags, the attributes and the text of a page; it must be well-formed."""

    EMPTY = ("meta", "!doctype")

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data


def hostile() -> Report:
    """Give a report that has hostile text everywhere."""
    line = Line("no", HOSTILE, HOSTILE, HOSTILE, "OVL-KRN-01", is_command=True)
    return Report({HOSTILE: (line,)}, (Verdict(line, about=f"v{HOSTILE}"),), HOSTILE)


@pytest.mark.parametrize("name", RECORDED)
def test_a_page_has_the_report_the_findings_and_the_facts(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report = judged(RECORDED[name])
    main(["doctor", "--format", "json", "--facts", f"tests/unit/facts/{name}.json"])
    data = capsys.readouterr().out.rstrip("\n")

    status = main(["doctor", "--format", "html", "--facts", f"tests/unit/facts/{name}.json"])

    found = Page(capsys.readouterr().out)
    assert status == report.status
    for line in [line for part in (*report.sections.values(), *report.judged.values()) for line in part]:
        assert f"{line.what}: {line.why}" in found.text if line.why else line.what in found.text
        assert line.remedy in found.text
    assert [value for key, value in found.attributes if key == "id"] == [*report.pages]
    assert [value for key, value in found.attributes if key == "href"] == [
        f"#{line.page}"
        for part in (*report.judged.values(), *report.sections.values())
        for line in part
        if line.page
    ]
    for id_ in report.pages:
        finding = findings.get(id_)
        for part in (finding.title, finding.cause, finding.remedy, *finding.command):
            assert part in found.text
    assert data in found.text
    assert report_on(load(found.text[found.text.index("{\n") : found.text.rindex("}") + 1])) == report


def test_hostile_text_stays_text() -> None:
    found = Page(page.render(hostile(), {HOSTILE: HOSTILE, **DATA}))

    assert {"script", "img", "link", "iframe"} & {*found.tags} == set()
    assert {key for key, _ in found.attributes} <= {
        "lang", "charset", "http-equiv", "content", "name", "class", "aria-hidden", "href", "id", "tabindex",
    }  # fmt: skip
    assert "<script>alert(1)</script>\"' onload=x &lt; \\x1b[31m \\u202e \\udcff /a b" in found.text
    assert '{"a": "<b>&amp;"}\n\\x1b' in found.text


def test_a_page_needs_nothing_from_outside_and_says_so_to_the_browser() -> None:
    source = page.render(hostile(), DATA)

    links = [str(value) for key, value in Page(source).attributes if key in ("href", "src")]
    assert [link for link in links if link[0] != "#"] == []
    assert "default-src 'none'" in source
    style = source[source.index("<style>") : source.index("</style>")]
    assert ("url(" in style, "@import" in style) == (False, False)


def test_a_mark_is_more_than_a_colour() -> None:
    source = page.render(BUNDLE, {})

    assert '<span aria-hidden="true">no</span><span class="hidden">does not work: </span>' in source
    assert '<span aria-hidden="true">ok</span><span class="hidden">works: </span>' in source


def test_reports_join_in_their_order() -> None:
    joined = join("both", judged(RECORDED["6.18"]), BUNDLE)

    assert [*joined.sections] == ["Kernel", "Overlayfs", "User namespaces", "FUSE", "Runtimes", "Layers"]
    assert joined.sections["Kernel"][-1].what == "more"
    assert [*joined.judged] == ["Overlays", "Bundle /b"]
    assert (joined.status, joined.title) == (1, "both")
    assert joined.pages == ("OVL-KRN-01", "OVL-UPP-05", "OVL-FUS-05", "OVL-LOW-21")


def test_text_has_verdicts_on_mounts_last() -> None:
    assert text.render(BUNDLE).endswith(
        "\n\n\x1b[1mBundle /b\x1b[0m\n"
        "  \x1b[32mok\x1b[0m  mounts[1] /data: by the kernel\n"
        "  \x1b[31mno\x1b[0m  mounts[2] /x: refused: no such layer\n"
        "      → make it; \x1b[1mocishim explain OVL-LOW-21\x1b[0m"
    )


@pytest.mark.parametrize("width", [20, 40, 79, 80, 81, 100])
def test_a_command_to_copy_is_never_wrapped(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr("ocishim.cli.terminal.width", lambda: width)
    program = f"/home/a/{'long/' * 12}fuse overlayfs"
    report = judged(changed("6.18", fuse__program=program, fuse__version=""))

    shown = re.sub("\x1b\\[[0-9;]*m", "", text.render(report))

    assert f"→ '{program}' --version" in shown
    for id_ in report.pages:
        assert f"ocishim explain {id_}" in shown


def test_text_is_fit_for_a_terminal() -> None:
    shown = re.sub("\x1b\\[[0-9;]*m", "", text.render(hostile()))

    assert all(line.isprintable() for line in shown.split("\n"))


def test_facts_as_json_are_ascii(
    capsys: pytest.CaptureFixture[str], tmp_path: pytest.TempPathFactory
) -> None:
    file = f"{tmp_path}/facts.json"
    with open(file, "w", encoding="ascii") as opened:
        json.dump(changed("6.18", fuse__version="\u202e\x1bé"), opened)

    main(["doctor", "--format", "json", "--facts", file])

    assert '"version": "\\u202e\\u001b\\u00e9"' in capsys.readouterr().out

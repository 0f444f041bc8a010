"""How an answer of ocishim becomes a verdict, and verdicts a report."""

import json
import pathlib
import sys
import xml.etree.ElementTree as xml
from typing import Any

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))  # hack/ is not installed

from hack.matrix import asking, cases, judgement, kernels, picture, report, traces
from hack.matrix.__main__ import choose
from hack.matrix.exercise import Outcome
from hack.matrix.judgement import Answer
from hack.matrix.machines import Report

FINE, BROKEN = Outcome(), Outcome("rm -r", "EIO", "Input/output error")
SAYS_FINE, SAYS_NO = Answer(0, "kernel"), Answer(1, said="ocishim: mounts[0]: upperdir on ramfs")


@pytest.mark.parametrize(
    ("answer", "outcome", "ways", "must_refuse", "verdict"),
    [
        (SAYS_FINE, FINE, {}, "", "right"),
        (SAYS_FINE, BROKEN, {}, "", "wrong fine"),
        (SAYS_FINE, FINE, {}, "volatile", "wrong fine"),
        (SAYS_NO, None, {"kernel": BROKEN, "fuse": BROKEN}, "", "right"),
        (SAYS_NO, None, {"kernel": BROKEN, "fuse": FINE}, "", "wrong refused"),
        (SAYS_NO, None, {}, "volatile", "right"),
        (Answer(1, said="Traceback (most recent call last):\n  File"), None, {}, "", "no answer"),
        (Answer(1), None, {}, "", "no answer"),
        (Answer(-9, said="no answer within 30 seconds"), None, {}, "", "no answer"),
        (Answer(2, said="usage"), None, {}, "volatile", "no answer"),
        (Answer(0, "kernel", left=("/u/x is new",)), FINE, {}, "", "left behind"),
        (Answer(0, "kernel", left=("/u/x is new",)), BROKEN, {}, "", "wrong fine"),
    ],
)
def test_judge(
    answer: Answer, outcome: Outcome | None, ways: dict[str, Outcome], must_refuse: str, verdict: str
) -> None:
    assert verdict == judgement.judge(answer, outcome, ways, must_refuse)


def test_where_no_is_right_too_nothing_that_works_makes_it_wrong() -> None:
    assert judgement.judge(SAYS_NO, None, {"kernel": FINE}, "", "it changes") == "right"
    assert judgement.judge(SAYS_FINE, BROKEN, {}, "", "it changes") == "wrong fine"


def test_what_is_hidden_from_who_asks_is_counted_apart() -> None:
    assert judgement.judge(SAYS_FINE, BROKEN, {}, "", is_hidden=True) == "cannot be known"
    assert judgement.judge(SAYS_NO, None, {"kernel": FINE}, "", is_hidden=True) == "wrong refused"


def _plan(**fields: Any) -> str:
    usual = {
        "candidates": [{"backend": "kernel", "rejected": ""}, {"backend": "fuse", "rejected": ""}],
        "options": {"kernel": ["xino=auto"], "fuse": ["noacl"]},
    }
    return json.dumps({"mounts": [usual | fields]})


@pytest.mark.parametrize(
    ("out", "backend", "options"),
    [
        (_plan(), "kernel", ("xino=auto",)),
        (_plan(backend="fuse"), "fuse", ("noacl",)),
        (_plan(candidates=[{"backend": "kernel", "rejected": "no"}, {"backend": "fuse", "rejected": ""}]),
         "fuse", ("noacl",)),
    ],
)  # fmt: skip
def test_a_plan_says_who_mounts_and_how(out: str, backend: str, options: tuple[str, ...]) -> None:
    assert Answer(0, backend, options) == asking.understand(0, out, "")


@pytest.mark.parametrize("out", ["", "{}", '{"mounts": []}', '{"mounts": [{"backend": "zfs"}]}', "[]"])
def test_what_is_not_a_plan_is_no_answer(out: str) -> None:
    answer = asking.understand(0, out, "")

    assert judgement.judge(answer, None, {}, "") == "no answer"


def test_a_refusal_is_its_words() -> None:
    assert Answer(1, said="ocishim: no") == asking.understand(1, "", "ocishim: no\n")


def test_cases_have_names_of_their_own_that_say_what_they_are() -> None:
    found = cases.all_cases()
    names = [case.name for case in found]

    assert len(names) == len(set(names))
    assert {name for part in cases.SAMPLE.values() for name in part} <= set(names)
    assert set(cases.SAMPLE) == {cases.HOST, *kernels.SUITES}
    assert [name for name in names if name.split("/")[2] not in ("root", "userns")] == []
    assert {case.name for case in found if case.refuse} == {
        "ext4/ext4/root/busy-upper",
        "ext4/ext4/userns/busy-upper",
        "ext4/ext4/root/index-leftover/index=on",
        "ext4/ext4/userns/index-leftover/index=on",
        "ext4/ext4/root/volatile-leftover",
        "ext4/ext4/userns/volatile-leftover",
    }


@pytest.mark.parametrize(
    ("patterns", "is_sample", "names"),
    [
        (["squashfs/xfs/*"], False, ["squashfs/xfs/root", "squashfs/xfs/userns"]),
        (["ext4/ext4/root", "erofs/none/root"], False, ["ext4/ext4/root", "erofs/none/root"]),
        (["ext4/ext4/*/busy-work"], False, ["ext4/ext4/root/busy-work", "ext4/ext4/userns/busy-work"]),
        (["ext4/ext4/*/busy-work"], True, ["ext4/ext4/root/busy-work"]),
        (["nosuch"], False, []),
    ],
)
def test_cases_are_chosen_by_pattern(patterns: list[str], is_sample: bool, names: list[str]) -> None:
    assert names == [case.name for case in choose(patterns, is_sample=is_sample)]


def test_changes_are_named() -> None:
    before = {"/u": (1, 0), "/u/a": (1, 5), "/u/b": (1, 5)}
    after = {"/u": (1, 0), "/u/a": (1, 6), "/u/c": (1, 5)}

    assert traces.changes(before, after) == ["/u/b is gone", "/u/c is new", "/u/a is other"]


def _case(name: str, verdict: str, **more: Any) -> dict[str, Any]:
    answer = {"status": 0, "backend": "kernel", "options": [], "said": "", "left": []}
    return {"case": name, "verdict": verdict, "answer": answer, "outcome": None, "ways": {}, **more}


_NO = {"status": 1, "backend": "", "options": [], "said": "ocishim: ramfs", "left": []}
REPORT = Report(
    "6.12",
    "6.12.101",
    [
        _case("ext4/ext4/root", "right"),
        _case("ext4/ramfs/root", "right", answer=_NO),
        _case("ext4/ext4/userns", "wrong fine", outcome={"operation": "rm -r", "errno": "EIO", "said": "x"}),
        _case(
            "xfs/ext4/userns",
            "wrong fine",
            outcome={"operation": "list", "errno": "", "said": "a is there"},
            ways={"kernel userxattr": {"operation": ""}},
        ),
        _case("ext4/ext4/root/index-leftover", "wrong fine"),
        _case(
            "ext4/tmpfs/userns",
            "wrong refused",
            answer=_NO,
            ways={"kernel": {"operation": "mount"}, "kernel userxattr": {"operation": ""}},
        ),
        _case("ext4/xfs/root", "no answer", answer={**_NO, "said": "Traceback\nKeyError: 'x'"}),
        _case("ext4/xfs/userns", "left behind", answer={**_NO, "left": ["/u/.try is new"]}),
        _case("ext4/ext4/userns/lower-by-kernel", "cannot be known", why="trusted.* is hidden"),
        {"case": "vfat/ext4/root", "verdict": "not made", "why": "vfat: No such device"},
        {"case": "vfat/ext4/userns", "verdict": "not made", "why": "vfat: No such device"},
    ],
    {"root": {"status": 0, "out": "", "err": ""}, "userns": {"status": -6, "out": "", "err": ""}},
    "",
    12.3,
)


def test_the_report_has_a_table_and_a_line_for_whatever_is_wrong() -> None:
    assert report.text([REPORT], {"bullseye": "E: no longer has a Release file"}) == (
        "kernel  version   right  wrong fine  wrong refused  no answer  left behind  cannot be known  "
        "not made  seconds\n"
        "6.12    6.12.101      2           3              1          1            1                1  "
        "       2       12\n"
        "\n"
        "6.12 (6.12.101)\n"
        "  DOCTOR  ended with -6 as userns\n"
        "  WRONG FINE  ext4/ext4/userns: said fine (kernel); rm -r: EIO\n"
        "  WRONG FINE  xfs/ext4/userns: said fine (kernel); list: a is there; kernel userxattr works\n"
        "  WRONG FINE  ext4/ext4/root/index-leftover: said fine (kernel); it must be refused\n"
        "  WRONG REFUSED  ext4/tmpfs/userns: refused, but kernel userxattr works: ocishim: ramfs\n"
        "  NO ANSWER  ext4/xfs/root: status 1: Traceback | KeyError: 'x'\n"
        "  LEFT BEHIND  ext4/xfs/userns: /u/.try is new\n"
        "  cannot be known  trusted.* is hidden (ext4/ext4/userns/lower-by-kernel)\n"
        "  not made  vfat: No such device (vfat/ext4/root, vfat/ext4/userns)\n"
        "\n"
        "bullseye: left out: E: no longer has a Release file"
    )


def test_a_report_without_faults_is_its_table() -> None:
    good = Report("host", "6.18", [_case("ext4/ext4/root", "right")], {}, "", 1.0)

    assert report.text([good], {}) == (
        "kernel  version  right  wrong fine  wrong refused  no answer  left behind  cannot be known  "
        "not made  seconds\n"
        "host    6.18         1           0              0          0            0                0  "
        "       0        1"
    )


def test_the_picture_has_a_cell_for_each_case() -> None:
    drawn = xml.fromstring(picture.draw([REPORT, REPORT]))

    titles = [each.text or "" for each in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert sorted(2 * [case["case"] for case in REPORT.cases]) == sorted(
        title.partition(":")[0] for title in titles
    )


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        (_case("a/b/root", "right"), "right"),
        (_case("a/b/root", "right", answer=_NO), "right: refused"),
        (_case("a/b/root", "right", answer={"status": 0, "backend": "fuse"}), "right: fine by fuse"),
        (_case("a/b/root", "wrong fine"), "wrong fine"),
    ],
)
def test_the_picture_tells_apart_in_which_way_ocishim_was_right(case: dict[str, Any], kind: str) -> None:
    assert kind == picture.kind(case)

"""ocishim's own flags on the command line, help and version, and a bundle's path put in place of another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocishim import argv


@pytest.mark.parametrize(
    ("line", "runtime", "overlay", "words"),
    [
        ("--runtime runsc state 1", "runsc", "", "state 1"),
        ("--runtime=runsc state 1", "runsc", "", "state 1"),
        ("-runtime runsc state 1", "runsc", "", "state 1"),
        ("--runtime create state 1", "create", "", "state 1"),
        ("--runtime a --runtime b state 1", "b", "", "state 1"),
        ("--root /r --runtime /usr/bin/crun --debug run 1", "/usr/bin/crun", "", "--root /r --debug run 1"),
        ("run --runtime runsc --bundle /b 1", "runsc", "", "run --bundle /b 1"),
        ("run --bundle /b 1 --runtime runsc", "runsc", "", "run --bundle /b 1"),
        ("--overlay kernel run 1", "", "kernel", "run 1"),
        ("--overlay=fuse run 1", "", "fuse", "run 1"),
        ("run --overlay auto 1", "", "auto", "run 1"),
        ("create --overlay=kernel --runtime=crun 1", "crun", "kernel", "create 1"),
        ("--overlay kernel --overlay run 1", "", "kernel", "--overlay run 1"),
        ("exec 1 sh --runtime runsc --overlay fuse", "", "", "exec 1 sh --runtime runsc --overlay fuse"),
        ("run -- --runtime", "", "", "run -- --runtime"),
        ("--log --runtime run 1", "", "", "--log --runtime run 1"),
    ],
)
def test_own_flags_are_taken_out(line: str, runtime: str, overlay: str, words: str) -> None:
    inv = argv.parse(line.split())

    assert (runtime, overlay, words) == (inv.runtime, inv.overlay, " ".join(inv.words))


REFUSED = [
    ("--runtime", "--runtime: no runtime named; e.g. --runtime runsc"),
    ("--runtime= state 1", "--runtime: no runtime named; e.g. --runtime runsc"),
    ("run 1 --runtime", "--runtime: no runtime named; e.g. --runtime runsc"),
    (
        "--overlay krenel run 1",
        '--overlay: "krenel" is none of auto, kernel, fuse; e.g. --overlay kernel',
    ),
    ("--overlay=yes run 1", '--overlay: "yes" is none of auto, kernel, fuse; e.g. --overlay kernel'),
    ("run --overlay /b", '--overlay: "/b" is none of auto, kernel, fuse; e.g. --overlay kernel'),
    ("create --overlay= 1", '--overlay: "" is none of auto, kernel, fuse; e.g. --overlay kernel'),
]


@pytest.mark.parametrize(("line", "message"), REFUSED)
def test_own_flags_that_are_wrong_are_refused(line: str, message: str) -> None:
    inv = argv.parse(line.split())

    assert message == str(inv.wrong)


def test_the_log_is_known_although_a_flag_before_it_is_wrong() -> None:
    inv = argv.parse(["--overlay", "krenel", "--log", "/l", "--log-format", "json", "create", "1"])

    assert (inv.log, inv.log_format, bool(inv.wrong)) == ("/l", "json", True)


@pytest.mark.parametrize(
    ("line", "command", "is_help", "is_version"),
    [
        ("", "", False, False),
        ("-h", "", True, False),
        ("--help", "", True, False),
        ("-?", "", True, False),
        ("-v", "", False, True),
        ("-V", "", False, True),
        ("--version", "", False, True),
        ("--root /r --version", "", False, True),
        ("run --help", "run", True, False),
        ("run --help --bundle /b 1", "run", True, False),
        ("create -h", "create", True, False),
        ("create --help 1 2", "create", True, False),
        ("exec 1 ls --help", "exec", False, False),
        ("--log --help run 1", "run", False, False),
        ("create --pid-file --help 1", "create", False, False),
        ("do --help", "do", False, False),
        ("help run", "help", False, False),
    ],
)
def test_questions_of_people_are_recognised(line: str, command: str, is_help: bool, is_version: bool) -> None:
    inv = argv.parse(line.split())

    assert (command, is_help, is_version) == (inv.command, inv.help, inv.version)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("create --bundle b 1", "create --bundle /new 1"),
        ("create --bundle=b 1", "create --bundle=/new 1"),
        ("create --bundle= 1", "create --bundle=/new 1"),
        ("create -b b 1", "create -b /new 1"),
        ("create -b=b 1", "create -b=/new 1"),
        ("create -bb=c 1", "create -b/new 1"),
        ("create --bundle -b=c 1", "create --bundle /new 1"),
    ],
)
def test_a_bundle_is_put_in_place_of_another(line: str, expected: str) -> None:
    inv = argv.parse(line.split())

    inv.set_value(inv.bundle_at, "/new")

    assert expected == " ".join(inv.words)


def test_an_empty_bundle_is_a_value_like_any_other() -> None:
    inv = argv.parse(["create", "--bundle", "", "1"])

    assert (inv.value(inv.bundle_at), inv.value(inv.id_at)) == ("", "1")


@given(st.lists(st.text("abdf-=/ .\udcff", max_size=6) | st.sampled_from(sorted(argv.COMMANDS))))
def test_any_command_line_goes_through_whole(words: list[str]) -> None:
    inv = argv.parse(words)

    assert words == inv.words


@given(st.text(min_size=1), st.sampled_from(["--bundle", "-b", "--b", "-bundle"]), st.booleans())
def test_any_path_of_a_bundle_is_found(path: str, flag: str, in_word: bool) -> None:
    inv = argv.parse(["create", f"{flag}={path}", "1"] if in_word else ["create", flag, path, "1"])

    assert (path, "1") == (inv.value(inv.bundle_at), inv.value(inv.id_at))

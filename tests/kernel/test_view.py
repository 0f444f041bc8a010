"""`ocishim view`: what the command sees, and that nobody else sees any of it."""

import os
import pathlib
import signal
import subprocess

import pytest
from harness import OCISHIM, STAGE, Result, wait_for
from kernel.person import Person, person

__all__ = ["person"]
GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")


@pytest.fixture(params=["kernel", "fuse"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _repository(person: Person) -> None:
    """Make a repository of two commits."""
    made = "set -e; git init -q .; for i in $(seq 200); do echo $i >f$i; done; git add .; git commit -qm one"
    made += "; echo two >f1; rm f2; git commit -qam two"
    person.lay("source")
    script = f'git() {{ command {" ".join(GIT)} "$@"; }}; {made}'
    result = person.run("sh", "-c", script, cwd=person.directory / "source")
    assert result == Result(0, "", "")


def test_two_views_of_one_repository_see_two_commits_at_once(person: Person, mode: str) -> None:
    _repository(person)
    place = person.lay("place")
    words = ("view", "--overlay", mode, "--upper")
    clone = ("git", "clone", "-q", f"{person.directory}/source", "place/repo")
    assert person.ocishim(*words, "cloned", "--lower", "place", "--", *clone) == Result(0, "", "")
    # Each waits for the other: they are there at the same time.
    script = """
    set -e; cd place/repo; git checkout -q $1; echo $1 >../../$2.ready
    while [ ! -e ../../$3.ready ]; do sleep 0.02; done
    git rev-parse HEAD; cat f1; ls | wc -l; git status --porcelain
    python3 -c 'import mmap
    with open("f3", "r+b") as file, mmap.mmap(file.fileno(), 0) as map: map[:1] = b"'$2'"; map.flush()'
    cat f3; git status --porcelain; git gc -q; git fsck
    """.replace("\n    with", "\nwith")

    processes = [
        person.start(
            OCISHIM, *words, own, "--lower", "cloned:place", "--",
            "sh", "-c", script, "sh", commit, own, other,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for own, other, commit in (("4", "5", "main"), ("5", "4", "main~1"))
    ]  # fmt: skip
    said = [process.communicate(timeout=60)[0] for process in processes]

    heads = [
        person.run("git", "-C", person.directory / "source", "rev-parse", commit).out
        for commit in ("main", "main~1")
    ]
    assert said == [f"{heads[0]}two\n199\n4\n M f3\n", f"{heads[1]}1\n200\n5\n M f3\n"]
    assert [process.returncode for process in processes] == [0, 0]
    assert [*place.iterdir()] == []
    assert (person.directory / "cloned/repo/f3").read_text() == "3\n"
    assert wait_for(lambda: person.names() == {"source", "place", "cloned", "4", "5", "4.ready", "5.ready"})


def test_the_command_is_who_started_it(person: Person) -> None:
    person.lay("place")
    question = ("sh", "-c", "id -u; id -g; env; grep CapEff /proc/self/status; stat -c %u:%g place")

    seen, plain = person.ocishim("view", "--lower", "place", "--", *question), person.run(*question)

    assert seen == plain


def test_nobody_else_sees_it_and_what_is_thrown_away_is_gone(person: Person, mode: str) -> None:
    place = person.lay("place", old="1\n", dir__inner="2\n")
    script = "echo 3 >place/new; rm place/old; rm -r place/dir; mkdir place/dir; ls place; echo end; read x"
    with person.start(
        OCISHIM, "view", "--overlay", mode, "--lower", "place", "--", "sh", "-c", script,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout
        seen = process.stdout.readline() + process.stdout.readline() + process.stdout.readline()
        elsewhere = sorted(path.name for path in place.rglob("*"))

    assert seen == "dir\nnew\nend\n"
    assert elsewhere == ["dir", "inner", "old"]
    assert sorted(path.name for path in place.rglob("*")) == elsewhere
    assert person.names() == {"place"}
    mounts = pathlib.Path("/proc/self/mountinfo").read_text()
    assert [line for line in mounts.splitlines() if str(person.directory) in line or str(STAGE) in line] == []


def test_the_current_directory_is_in_the_view(person: Person) -> None:
    place = person.lay("place", dir__old="1\n")
    words = ("view", "--lower", "..", "--upper", "../../upper", "--")

    result = person.ocishim(*words, "sh", "-c", "pwd; touch new; ls; ls ..", cwd=place / "dir")

    assert result == Result(0, f"{place}/dir\nnew\nold\ndir\n", "")
    assert sorted(path.name for path in (person.directory / "upper").rglob("*")) == ["dir", "new"]
    assert [path.name for path in (place / "dir").iterdir()] == ["old"]


def test_layers_are_merged_on_the_lowest_or_where_it_is_said(person: Person) -> None:
    for name in ("top", "middle:,", "bottom"):
        person.lay(name, **{name[:1]: "", "all": name})
    person.lay("elsewhere")
    lower = ("--lower", "top:middle\\:,", "--lower", "bottom", "--read-only")
    script = "cat $1/all; ls $1; touch $1/x 2>/dev/null || echo refused"

    results = [
        person.ocishim("view", *lower, "--", "sh", "-c", script, "sh", "bottom"),
        person.ocishim("view", *lower, "--on", "elsewhere", "--", "sh", "-c", script, "sh", "elsewhere"),
    ]

    assert results == [Result(0, "topall\nb\nm\nt\nrefused\n", "")] * 2


def test_names_of_any_bytes_are_taken(person: Person) -> None:
    name = os.fsdecode(b"a \xff\n\\:,=\xc3\xa9")
    person.lay(name, file="1\n")
    lower = name.replace("\\", "\\\\").replace(":", "\\:")

    result = person.ocishim("view", "--lower", lower, "--upper", f"{name}-up", "--", "cat", f"{name}/file")

    assert result == Result(0, "1\n", "")


@pytest.mark.parametrize(
    ("words", "status", "err"),
    [
        (("sh", "-c", "exit 7"), 7, ""),
        (("nowhere",), 127, "ocishim: nowhere: no such command\n"),
        (("place/file",), 126, "ocishim: place/file: EACCES, access refused\n"),
        (("",), 127, 'ocishim: "": no such command\n'),
        (("sh", "-c", "kill -9 $$"), -9, ""),
    ],
)
def test_the_exit_status_is_the_commands(
    person: Person, words: tuple[str, ...], status: int, err: str
) -> None:
    person.lay("place", file="")

    result = person.ocishim("view", "--lower", "place", "--upper", "upper", "--", *words)

    assert result == Result(status, "", err)
    assert wait_for(lambda: person.names() == {"place", "upper"})


def test_a_script_without_a_first_line_is_started_as_by_a_shell(person: Person) -> None:
    place = person.lay("place", script="echo $1\n")
    (place / "script").chmod(0o755)

    assert person.ocishim("view", "--lower", "place", "place/script", "-x") == Result(0, "-x\n", "")


def test_it_is_the_same_process_and_signals_reach_it(person: Person) -> None:
    person.lay("place")
    with person.start(
        OCISHIM, "view", "--lower", "place", "--",
        "sh", "-c", "trap 'exit 3' INT; echo $$; while :; do sleep 0.05; done",
        stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout
        assert int(process.stdout.readline()) == process.pid
        process.send_signal(signal.SIGINT)

    assert process.returncode == 3


OVERLAP = (
    "view: --lower {0}/place is the same directory as --lower {0}/place; name each directory once and use "
    "separate trees; ocishim explain OVL-OPT-12"
)
MISSING = (
    "view: --lower {0}/nowhere: does not exist; correct the path, or make the directory; "
    "ocishim explain OVL-LOW-21"
)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--lower nowhere", "view: --lower nowhere: does not exist; name a directory"),
        ("--lower nowhere:place", MISSING),
        ("--lower place:place --upper upper", OVERLAP),
        (
            "--lower place --on /",
            "view: --on /: nobody would see a mount over /; name a directory with --on, and chroot to it",
        ),
        (
            "--lower place --upper no/upper",
            "view: --upper no/upper: does not exist; make the directory, or name another",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(person: Person, words: str, message: str) -> None:
    person.lay("place", file="")

    result = person.ocishim("view", *words.split(), "--", "true")

    assert result == Result(1, "", f"ocishim: {message.format(person.directory)}\n")
    assert person.names() == {"place"}

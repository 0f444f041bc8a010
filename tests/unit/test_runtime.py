"""The low-level runtime: which one is taken, and what it gets from ocishim."""

import pathlib
import subprocess
import sys

import pytest
from harness import OCISHIM

from ocishim import runtime
from ocishim.errors import UsageError
from ocishim.settings import Runtime, Settings


@pytest.fixture
def programs(tmp_path: pathlib.Path) -> pathlib.Path:
    """Make a directory of programs: runc, runsc-debug, my (a runtime), a link to ocishim, and none."""
    for name in ("runc", "runsc-debug", "my", "ocishim"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "me").symlink_to("ocishim")
    (tmp_path / "plain").touch(mode=0o644)
    (tmp_path / "directory").mkdir()
    return tmp_path


def find(
    programs: pathlib.Path, asked: str, called_by: str, variable: str, **named: Runtime
) -> tuple[str, str]:
    """Find the runtime, with PATH the directory of programs alone; give its path there and its kind."""
    environ = {
        b"PATH": b"relative:" + bytes(programs),
        b"OCISHIM_RUNTIME": variable.format(d=programs).encode(),
    }
    found = runtime.find(
        asked.format(d=programs), f"{programs}/{called_by}", Settings(runtimes=named), environ
    )
    return found.path.replace(str(programs), "{d}"), found.kind


@pytest.mark.parametrize(
    ("asked", "called_by", "variable", "expected"),
    [
        ("runc", "ocishim-runsc-debug", "my", ("{d}/runc", "runc")),
        ("", "ocishim-runsc-debug", "my", ("{d}/my", "crun")),
        ("", "ocishim-runsc-debug", "", ("{d}/runsc-debug", "runsc")),
        ("", "ocishim", "", ("{d}/my", "crun")),
        ("", "ocishim-", "", ("{d}/my", "crun")),
        ("{d}/runsc-debug", "ocishim", "", ("{d}/runsc-debug", "runsc")),
        ("", "ocishim", "{d}/runc", ("{d}/runc", "runc")),
    ],
)
def test_the_runtime_is_the_first_that_is_given(
    programs: pathlib.Path, asked: str, called_by: str, variable: str, expected: tuple[str, str]
) -> None:
    actual = find(
        programs, asked, called_by, variable, none=Runtime(), my=Runtime(kind="crun"), runc=Runtime()
    )

    assert expected == actual


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"x": Runtime(path="{d}/plain"), "runc": Runtime()}, ("{d}/runc", "runc")),
        ({"x": Runtime(path="{d}/me"), "runc": Runtime()}, ("{d}/runc", "runc")),
        ({"x": Runtime(path="{d}/runsc-debug")}, ("{d}/runsc-debug", "runsc")),
        ({"x": Runtime(path="{d}/my")}, ("{d}/my", "runc")),
        ({"ocishim": Runtime(), "my": Runtime()}, ("{d}/my", "runc")),
    ],
)
def test_without_a_word_it_is_the_first_of_the_settings_that_can_be_run(
    programs: pathlib.Path, named: dict[str, Runtime], expected: tuple[str, str]
) -> None:
    runtimes = {name: Runtime(path=r.path.format(d=programs)) for name, r in named.items()}

    actual = find(programs, "", "ocishim", "", **runtimes)

    assert expected == actual


REFUSED = [
    ("none", "",
     "--runtime: runtime none: not installed: neither in PATH nor in /usr/local/sbin, /usr/local/bin, "
     "/usr/sbin, /usr/bin, /sbin, /bin; install it, or give its path; ocishim explain OVL-RUN-09"),
    ("{d}/none", "", "--runtime: runtime {d}/none: does not exist; give the path of a runtime; "
     "ocishim explain OVL-RUN-09"),
    ("{d}/plain", "", "--runtime: runtime {d}/plain: not executable (mode 0644); give the path of a runtime; "
     "ocishim explain OVL-RUN-09"),
    ("{d}/directory", "", "--runtime: runtime {d}/directory: not a regular file; give the path of a runtime; "
     "ocishim explain OVL-RUN-09"),
    ("{d}/plain/x", "", "--runtime: runtime {d}/plain/x: is not a directory; give the path of a runtime; "
     "ocishim explain OVL-RUN-09"),
    ("{d}/me", "", "--runtime: runtime {d}/me: this is ocishim itself; name runc, crun or runsc; "
     "ocishim explain OVL-RUN-09"),
    ("", "{d}/none", "OCISHIM_RUNTIME: runtime {d}/none: does not exist; give the path of a runtime; "
     "ocishim explain OVL-RUN-09"),
    ("", "", "low-level runtime: none of none, other is installed; install one, or name one with --runtime; "
     "ocishim explain OVL-RUN-09"),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "variable", "message"), REFUSED)
def test_a_runtime_that_cannot_be_run_is_refused(
    programs: pathlib.Path, asked: str, variable: str, message: str
) -> None:
    with pytest.raises(UsageError) as refusal:
        find(programs, asked, "ocishim", variable, none=Runtime(), other=Runtime(path="/none"))

    assert message == str(refusal.value).replace(str(programs), "{d}")


def ocishim(directory: pathlib.Path, script: str, *words: str, **environ: str) -> tuple[int, str, str]:
    """Run ocishim with this script as the low-level runtime."""
    program = directory / "fake"
    program.write_text(script)
    program.chmod(0o755)
    (directory / "config.toml").write_text(
        f'[runtimes.fake]\npath = "{program}"\nargs = ["--first", "a b"]\n'
    )
    done = subprocess.run(
        [OCISHIM, *words],
        env={"OCISHIM_CONFIG": f"{directory}/config.toml", **environ},
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    return done.returncode, done.stdout, done.stderr.replace(str(directory), "{d}")


def test_the_runtime_gets_the_words_as_they_came_behind_those_of_the_settings(tmp_path: pathlib.Path) -> None:
    script = '#!/bin/sh\nprintf "<%s>" "$@"; echo err >&2; exit 7\n'

    result = ocishim(tmp_path, script, "--root", "", "--runtime=fake", "kill", "a\nb", "ü", "15")

    assert result == (7, "<--first><a b><--root><><kill><a\nb><ü><15>", "err\n")


def test_the_version_is_that_of_both(tmp_path: pathlib.Path) -> None:
    result = ocishim(tmp_path, "#!/bin/sh\necho fake version 1\n", "--version")

    assert result == (0, "ocishim version 0.1.0\nfake version 1\n", "")


@pytest.mark.parametrize(
    "environ",
    [{}, {"LC_CTYPE": "C"}, {"LC_CTYPE": "C.UTF-8"}, {"LC_ALL": "C"}, {"LANG": "C.UTF-8"}, {"A": "b\nc=d"}],
    ids=str,
)
def test_the_runtime_gets_the_environment_as_it_was(tmp_path: pathlib.Path, environ: dict[str, str]) -> None:
    script = f"#!{sys.executable} -IS\nprint(sorted(open('/proc/self/environ').read().split('\\0')))\n"
    expected = {"OCISHIM_CONFIG": f"{tmp_path}/config.toml", **environ}

    _, out, _ = ocishim(tmp_path, script, "state", "1", **environ)

    assert f"{sorted(['', *(f'{name}={value}' for name, value in expected.items())])}\n" == out


def test_the_runtime_finds_its_signals_as_ocishim_found_them(tmp_path: pathlib.Path) -> None:
    _, out, _ = ocishim(tmp_path, "#!/bin/sh\nexec cat /proc/self/status\n", "state", "1")

    bare = subprocess.run([tmp_path / "fake"], env={}, capture_output=True, text=True, check=True).stdout
    signals = [[line for line in text.splitlines() if line.startswith("Sig")] for text in (bare, out)]
    assert signals[0][1:] == signals[1][1:]  # the first counts the signals that wait for this user


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("#!/none/interpreter\n", "the interpreter in its first line does not exist"),
        ("not a program", "not an executable"),
    ],
)
def test_a_runtime_that_does_not_start_is_an_error_of_one_line(
    tmp_path: pathlib.Path, script: str, why: str
) -> None:
    result = ocishim(tmp_path, script, "state", "1")

    expected = f"ocishim: exec {{d}}/fake: {why}; name a runtime that is installed here with --runtime\n"
    assert (1, "", expected) == result

"""Messages: one line, and without the words that podman takes for something else."""

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit import (
    test_argv_own,
    test_bundle,
    test_gvisor,
    test_layers,
    test_overlay,
    test_plan,
    test_runtime,
    test_settings,
)

from ocishim import errors

#: podman makes a sentence and an exit status of its own of a message with one of these (engines.md 7).
PODMANS = (
    "no such file or directory",
    "permission denied",
    "operation not permitted",
    "executable file not found",
)

TABLES = (
    test_argv_own.REFUSED, test_bundle.WRONG, test_bundle.LAYERS, test_gvisor.EXCLUSIVE, test_gvisor.FLAGS,
    test_gvisor.SPEC, test_overlay.OPTIONS, test_overlay.SPEC, test_layers.LAYERS, test_plan.ANNOTATIONS,
    test_plan.FUSE, test_plan.TOGETHER, test_runtime.REFUSED, test_settings.REFUSED,
)  # fmt: skip
MESSAGES = sorted({str(row[-1]) for table in TABLES for row in table})


def _is_fit_for_engines(message: str) -> bool:
    return message.isprintable() and not any(words in message.lower() for words in PODMANS)


@pytest.mark.parametrize("message", MESSAGES)
def test_every_message_is_fit_for_engines(message: str) -> None:
    assert _is_fit_for_engines(message)


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_the_words_for_every_errno_are_fit_for_engines(number: int) -> None:
    assert _is_fit_for_engines(errors.words(number))


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EPERM, "EPERM, the kernel refuses it"),
        (errno.EACCES, "EACCES, access refused"),
        (errno.ENOENT, "does not exist"),
        (errno.ENOTDIR, "is not a directory"),
        (errno.EINVAL, "EINVAL, invalid argument"),
        (9999, "9999, unknown error 9999"),
    ],
)
def test_an_errno_has_its_name_and_what_it_means(number: int, expected: str) -> None:
    assert expected == errors.words(number)


@pytest.mark.parametrize(
    ("what", "why", "remedy", "expected"),
    [
        ("mounts", "null", "write [ … ]", "mounts: null; write [ … ]"),
        ("mounts", "null", "", "mounts: null"),
        ("", "null", "write", "null; write"),
        ("a\nb", "c\td", "\x1b[31me\u2028", "a\\nb: c\\td; \\x1b[31me\\u2028"),
        ("/\udcff", "ü", "", "/\\udcff: ü"),
        # what a FUSE server says goes into a message as it came
        ("fuse", "open /x: No such file or directory", "", "fuse: open /x: does not exist"),
        ("fuse", "mount: Permission denied, Operation not permitted", "",
         "fuse: mount: access refused, the kernel refuses it"),
    ],
)  # fmt: skip
def test_an_error_is_one_line(what: str, why: str, remedy: str, expected: str) -> None:
    assert expected == str(errors.HostError(what, why, remedy))


_said = (
    st.text()
    | st.sampled_from([os.strerror(number) for number in sorted(errno.errorcode)])
    | st.text("\n\r\0 a")
)


@given(_said, _said, _said)
def test_any_error_is_fit_for_engines(what: str, why: str, remedy: str) -> None:
    assert _is_fit_for_engines(str(errors.MountError(what, why, remedy, errno=1)))


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/a", "mount /a: EPERM, the kernel refuses it"), (None, "mount: EPERM, the kernel refuses it")],
)
def test_a_failed_system_call_says_which_and_on_what(path: str | None, expected: str) -> None:
    error = errors.SyscallError(errno.EPERM, "mount", path)

    assert (expected, errno.EPERM) == (str(error), error.errno)


def test_the_type_of_an_error_is_who_must_act() -> None:
    kinds = [errors.UsageError, errors.SpecError, errors.HostError, errors.MountError]

    assert [(errors.ShimError,)] * 4 == [kind.__bases__ for kind in kinds]

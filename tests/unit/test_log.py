"""How a failure leaves ocishim: one line on stderr, one record in the engine's log."""

import datetime
import json
import pathlib
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocishim import argv, log
from ocishim.errors import SpecError

ERROR = SpecError("mounts[1].options", 'unknown overlay option "ü\n\udcff"', "remove it")
MESSAGE = 'ocishim: mounts[1].options: unknown overlay option "ü\\n\\udcff"; remove it'


def invocation(path: object, log_format: str) -> argv.Invocation:
    """Make a command line that names a log."""
    return argv.parse(["--log", str(path), "--log-format", log_format, "create", "id"])


def test_a_json_record_is_level_message_and_time(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "log"

    status = log.fail(ERROR, invocation(file, "json"))

    record = json.loads(file.read_text())
    moment = datetime.datetime.strptime(record["time"], "%Y-%m-%dT%H:%M:%S%z")  # RFC 3339
    assert (1, {"level": "error", "msg": MESSAGE, "time": record["time"]}) == (status, record)
    assert abs(datetime.datetime.now(datetime.UTC) - moment) < datetime.timedelta(minutes=1)
    assert capfd.readouterr() == ("", MESSAGE + "\n")


def test_a_text_record_is_one_of_logrus(tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "log"

    log.fail(ERROR, invocation(file, "text"))

    found = re.fullmatch(r'time="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ" level=error msg=(".*")\n', file.read_text())
    assert found
    assert json.loads(found[1]) == MESSAGE
    assert capfd.readouterr() == ("", MESSAGE + "\n")


def test_a_record_is_added_behind_what_is_there(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "log"
    file.write_text("first\n")

    log.fail(ERROR, invocation(file, "json"))

    first, record = file.read_text().splitlines()
    assert (first, json.loads(record)["msg"]) == ("first", MESSAGE)


@pytest.mark.parametrize("path", ["", "/dev/stderr"])
def test_without_a_log_there_is_the_line_on_stderr_alone(
    path: str, capfd: pytest.CaptureFixture[str]
) -> None:
    status = log.fail(ERROR, invocation(path, "json"))

    assert (status, capfd.readouterr()) == (1, ("", MESSAGE + "\n"))


def test_a_log_that_cannot_be_written_is_named(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    status = log.fail(ERROR, invocation(tmp_path / "none/log", "json"))

    expected = f"{MESSAGE}\nocishim: --log {tmp_path}/none/log: does not exist\n"
    assert (1, ("", expected)) == (status, capfd.readouterr())


@given(st.text() | st.text("\0\n\r\x1b\u2028\ud800\udcff\"\\"))  # fmt: skip
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # both are emptied by each example
def test_any_message_is_one_record_and_one_line_that_say_the_same(
    tmp_path: pathlib.Path, capfdbinary: pytest.CaptureFixture[bytes], text: str
) -> None:
    file = tmp_path / "log"
    error = SpecError("mounts", text)

    log.fail(error, invocation(file, "json"))

    lines = file.read_bytes().splitlines()
    file.unlink()
    assert [f"ocishim: {error}"] == [json.loads(line)["msg"] for line in lines]
    assert f"ocishim: {error}\n".encode() == capfdbinary.readouterr().err
    assert str(error).isprintable()

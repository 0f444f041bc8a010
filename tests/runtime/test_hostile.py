"""What a hostile or careless author of specs, settings and command lines tries."""

import os
import pathlib
import signal
import subprocess
import time

import pytest
from harness import OCISHIM, Bundle, Host, Result


@pytest.mark.parametrize(("flag", "value"), [("overlay2", "all:memory"), ("overlay", "true")])
def test_an_annotation_that_would_lose_writes_is_refused(
    host: Host, bundle: Bundle, flag: str, value: str
) -> None:
    bundle.overlay()
    bundle.spec["annotations"] = {f"dev.gvisor.flag.{flag}": value}

    result = host.ocishim("runsc", "run", bundle.path)

    assert (result.status, result.out) == (1, "")
    assert result.err.startswith(
        f'ocishim: annotations["dev.gvisor.flag.{flag}"]: writes to every mount stay in '
    )


def test_id_mappings_in_another_spelling_are_refused(host: Host, bundle: Bundle) -> None:
    bundle.overlay()["UIDMappings"] = [{"containerID": 0, "hostID": 1000, "size": 1}]

    result = host.ocishim("runc", "run", bundle.path)

    message = 'mounts[1].UIDMappings: runc and runsc would read it as "uidMappings", crun would not; '
    assert result == Result(1, "", f'ocishim: {message}write "uidMappings"\n')


def test_a_shared_bind_that_is_no_path_is_left_to_the_runtime(host: Host, bundle: Bundle) -> None:
    bundle.overlay()
    bundle.spec["mounts"].append(
        {"destination": "/data", "type": "bind", "source": "\ud800", "options": ["rbind", "rshared"]}
    )

    result = host.ocishim("runc", "run", bundle.path)

    assert result.status == 1
    assert "level=error" in result.err


def test_a_misspelt_bundle_is_named(host: Host, tmp_path: pathlib.Path) -> None:
    result = host.run("runc", [OCISHIM, "--runtime", "runc", "run", "helo"], cwd=tmp_path)

    assert result == Result(
        1, "", "ocishim: helo: not a bundle: no config.json there; name a directory with one\n"
    )


def test_a_message_has_a_length_that_a_log_can_take(host: Host, bundle: Bundle) -> None:
    bundle.overlay("lowerdir=/" + "x" * 1_000_000)

    result = host.ocishim("runc", "run", bundle.path)

    assert (result.status, len(result.err) < 5000) == (1, True)


def test_settings_reached_by_a_link_are_judged_where_they_are(host: Host, tmp_path: pathlib.Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "config.toml").touch()
    os.chown(theirs, 65534, 65534)
    (tmp_path / "link.toml").symlink_to(theirs / "config.toml")

    result = host.run("runc", [OCISHIM, "state", "x"], env={"OCISHIM_CONFIG": str(tmp_path / "link.toml")})

    assert result.status == 1
    assert f"directory {theirs}: owned by uid 65534, who may change it" in result.err


def test_an_interrupt_ends_it_without_a_word(host: Host, bundle: Bundle) -> None:
    bundle.overlay()
    locked = subprocess.Popen(["flock", "--no-fork", bundle.directory / "upper", "sleep", "1000"])
    try:
        time.sleep(0.3)
        process = subprocess.Popen(
            [OCISHIM, "--runtime", "runc", "run", bundle.path], stderr=subprocess.PIPE, text=True
        )
        time.sleep(0.7)  # it waits for the lock for ten seconds
        process.send_signal(signal.SIGINT)

        assert (process.communicate(timeout=5)[1], process.returncode) == ("", -signal.SIGINT)
    finally:
        locked.kill()
        locked.wait()

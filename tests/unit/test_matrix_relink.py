"""A program that is given another dynamic linker."""

import pathlib
import subprocess
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))  # hack/ is not installed

from hack.matrix import content
from hack.matrix.relink import relink


def test_a_relinked_program_runs_by_its_new_linker(tmp_path: pathlib.Path) -> None:
    linker = tmp_path / "linker"
    linker.symlink_to(pathlib.Path("/lib64/ld-linux-x86-64.so.2").resolve())
    program = tmp_path / "program"
    program.write_bytes(relink(pathlib.Path("/bin/echo").read_bytes(), linker))
    program.chmod(0o755)

    said = subprocess.run([program, "hello"], capture_output=True, text=True, check=True).stdout
    linker.unlink()

    assert said == "hello\n"
    with pytest.raises(FileNotFoundError):
        subprocess.run([program, "hello"], check=False)


@pytest.mark.parametrize(
    ("program", "why"),
    [(b"#!/bin/sh\n", "not a 64-bit ELF file"), (content.LOWER["program"], "a static program: no PT_INTERP")],
)
def test_what_has_no_dynamic_linker_is_refused(program: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        relink(program, pathlib.Path("/ld.so"))


def test_the_program_that_layers_hold_runs(tmp_path: pathlib.Path) -> None:
    program = tmp_path / "program"
    content_of = content.LOWER["program"]
    assert isinstance(content_of, bytes)
    program.write_bytes(content_of)
    program.chmod(0o755)

    assert subprocess.run([program], check=False).returncode == content.EXITS_WITH

"""Findings that stop a container, made to happen on this machine: the whole line that create says."""

import os
import pathlib
import re

import pytest
from kernel import refused_bundles, refused_layers
from kernel.asked import Case, ask, refusal, without_kernel_log

CASES: dict[str, Case] = {**refused_bundles.CASES, **refused_layers.CASES}


@pytest.mark.parametrize("name", CASES)
def test_a_refusal_is_the_finding_in_one_line(tmp_path: pathlib.Path, name: str) -> None:
    case, bundle = CASES[name], tmp_path / "b"

    asked = ask(case, bundle)

    said = without_kernel_log(asked.stderr).replace(os.uname().release, "K")
    said = re.sub(r"\d+ mounts in", "N mounts in", said)
    assert (asked.returncode, asked.stdout, said) == (1, "", refusal(name, case, bundle))

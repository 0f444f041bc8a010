"""What ocishim says of overlays is what they then do: the sample of hack/verdicts, kernel by kernel."""

import os
import pathlib
import sys
from collections.abc import Callable

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))  # hack/ is not installed

from hack.matrix import cases, images, judgement, kernels, machines, report
from hack.matrix.machines import Report


@pytest.mark.parametrize("kernel", cases.SAMPLE)
def test_ocishim_is_right_about_the_sample(
    kernel: str, tmp_path: pathlib.Path, record_property: Callable[[str, object], None]
) -> None:
    names = list(cases.SAMPLE[kernel])
    wanted = cases.needed(names)
    made, missing = images.make([name for name in images.NAMES if name in wanted], tmp_path)
    assert missing == {}

    found = _run(kernel, names, made)
    record_property("kernel", found.version)

    assert found.failed == ""
    assert [case["case"] for case in found.cases] == names
    wrong = [report.line(case) for case in report.wrong(found)]
    assert not wrong, "\n".join(wrong)
    not_made = [case["case"] for case in found.cases if case["verdict"] == judgement.NOT_MADE]
    assert kernel == cases.HOST or not_made == []  # what the host lacks is the host's affair


def test_doctor_judges_the_host_as_root_and_in_a_user_namespace() -> None:
    found = machines.on_host([], {})

    assert found.failed == ""
    assert {who: said["status"] in (0, 1) for who, said in found.doctor.items()} == {
        "root": True,
        "userns": True,
    }
    assert [who for who, said in found.doctor.items() if "Traceback" in said["err"]] == []


def _run(kernel: str, names: list[str], made: dict[str, pathlib.Path]) -> Report:
    """Run a kernel's part of the sample. A suite that the mirror no longer has must leave kernels.SUITES."""
    assert os.geteuid() == 0, "verdicts need root, as hack/verdicts does"
    if kernel == cases.HOST:
        return machines.on_host(names, made, doctor=False)
    return machines.in_guest(kernels.fetch(kernel), names, made, doctor=False)

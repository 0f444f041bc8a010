"""Runs the cases inside one kernel, as its root, and writes a line of JSON for each as soon as it is known.

hack/verdicts starts it: on the host in a mount namespace of its own, in User Mode Linux as the only program.
"""

import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import shutil
import sys
import time
from typing import Any

from . import asking, calls, cases, hidden, judgement, layers, privilege, traces
from .cases import Case
from .errors import NotMadeError
from .exercise import PSEUDO, Outcome, Task, run
from .filesystems import FileSystems
from .judgement import Answer
from .ways import FUSE, KERNEL, Layers, Way

_LIMIT = 40.0
_CASE_LIMIT = 150.0


@dataclasses.dataclass(frozen=True)
class Job:
    """What the agent is told: job.json in its results directory, with the names of the cases.

    `hostfs` is a directory of the host that a guest may write to, "" for none. `doctor` tells whether it is
    asked, too, `has_slow_start` whether ocishim is loaded once in place of being started each time.
    """

    cases: list[str]
    venv: str
    devices: dict[str, str]
    hostfs: str
    doctor: bool
    has_slow_start: bool


class Agent:
    """The cases of one kernel."""

    def __init__(self, job: Job, place: pathlib.Path) -> None:
        self._place = place
        self._venv = str(place / "venv")
        calls.mount("tmpfs", str(place), "tmpfs", 0, "mode=755")
        for name in ("venv", "fs", "derived", "bundles"):
            (place / name).mkdir()
        calls.bind(job.venv, self._venv)  # the user of a namespace may not get into the checkout
        if job.has_slow_start:
            asking.load(job.venv)
        self._open_fuse()
        # This machine's settings, and the trials noted on it, would be part of every verdict.
        for directory in ("/etc/ocishim", "/run/ocishim"):
            if os.path.isdir(directory):
                calls.mount("tmpfs", directory, "tmpfs", 0, "mode=755")
        self._systems = FileSystems(place, job.devices, job.hostfs)
        self._systems.mount_all()
        self._count = 0

    def _open_fuse(self) -> None:
        """Let everybody open /dev/fuse, as udev does."""
        try:
            device = os.stat("/dev/fuse").st_rdev
        except FileNotFoundError:
            return
        os.mknod(self._place / "fuse", 0o020666, device)
        os.chmod(self._place / "fuse", 0o666)
        calls.bind(str(self._place / "fuse"), "/dev/fuse")

    def doctor(self) -> dict[str, Any]:
        """Ask ocishim about this host, as root and in a user namespace."""
        found = {}
        for who in (privilege.ROOT, privilege.USERNS):
            directory = self._directory("bundles", who)
            ask = functools.partial(asking.run, self._venv, ["doctor"], directory)
            status, out, err = privilege.run(who, ask, _LIMIT + 10)
            found[who] = {"status": status, "out": out, "err": err}
        return found

    def judge(self, case: Case) -> dict[str, Any]:
        """Give a case's verdict and how it came about, as it goes into the report."""
        started = time.monotonic()
        try:
            said = privilege.run(privilege.ROOT, lambda: self._judge(case), _CASE_LIMIT)
        except (privilege.ChildError, TimeoutError) as e:
            said = {"verdict": judgement.NOT_MADE, "why": f"the matrix failed: {e}"}
        finally:
            self._clean()
        return {"case": case.name, **said, "seconds": round(time.monotonic() - started, 3)}

    def _judge(self, case: Case) -> dict[str, Any]:
        try:
            made = layers.make(case, self._systems)
        except NotMadeError as e:
            return {"verdict": judgement.NOT_MADE, "why": str(e)}
        bundle = str(self._directory("bundles", case.privilege))
        looked_at = () if case.kind == PSEUDO else made.layers.directories()
        before = traces.inventory(looked_at)

        def ask() -> dict[str, Any]:
            return dataclasses.asdict(asking.plan(self._venv, bundle, made.layers, case.options, case.forced))

        # This process is root already; a fork more costs 0.1 s in User Mode Linux.
        is_root = case.privilege == privilege.ROOT
        answer = Answer(**(ask() if is_root else privilege.run(case.privilege, ask, _LIMIT + 10)))
        left = traces.changes(before, traces.inventory(looked_at))
        answer = dataclasses.replace(answer, left=(*answer.left, *left))
        outcome = self._outcome(case, answer)
        if case.privilege == privilege.USERNS:
            answer, outcome = self._ask_user(case, made.layers, answer, outcome)
        ways: dict[str, Outcome] = {}
        if not case.refuse and not (outcome and outcome.is_fine):
            for way in _ways(case):
                ways[str(way)] = self._exercise(case, way)
                if ways[str(way)].is_fine:
                    break
        is_wrong = answer.is_fine and not (outcome and outcome.is_fine)
        is_hidden = is_wrong and bool(case.unknowable) and hidden.decides(made.layers, case.privilege)
        return {
            "verdict": judgement.judge(
                answer, outcome, ways, case.refuse, case.may_refuse, is_hidden=is_hidden
            ),
            "why": case.unknowable if is_hidden else "",
            "answer": dataclasses.asdict(answer),
            "outcome": dataclasses.asdict(outcome) if outcome else None,
            "ways": {name: dataclasses.asdict(each) for name, each in ways.items()},
        }

    def _outcome(self, case: Case, answer: Answer) -> Outcome | None:
        """Do what ocishim said that it would, None where it refused."""
        if not answer.is_fine:
            return None
        if case.backend not in ("", answer.backend):
            return Outcome("forced", "", f"not by {case.backend}")
        return self._exercise(case, Way(answer.backend, tuple(answer.options)))

    def _ask_user(
        self, case: Case, made: Layers, inside: Answer, outcome: Outcome | None
    ) -> tuple[Answer, Outcome | None]:
        """Ask as an ordinary user, for whom ocishim makes the namespace; the worse of both answers counts."""
        bundle = str(self._directory("bundles", case.privilege))

        def ask() -> dict[str, Any]:
            return dataclasses.asdict(asking.plan(self._venv, bundle, made, case.options, case.forced))

        answer = Answer(**privilege.run(privilege.USER, ask, _LIMIT + 10))
        if (answer.status, answer.backend, answer.options) == (inside.status, inside.backend, inside.options):
            return inside, outcome
        other = self._outcome(case, answer)
        is_inside_wrong = outcome is not None and not outcome.is_fine
        is_worse = not is_inside_wrong and (other is None or not other.is_fine)
        return (answer, other) if is_worse else (inside, outcome)

    def _exercise(self, case: Case, way: Way) -> Outcome:
        made = layers.make(case, self._systems)
        pseudo = case.lower if case.kind == PSEUDO else ""
        task = Task(case.kind, {} if pseudo else made.expected, case.options, pseudo, made.unjudged)
        target = str(self._directory("derived", case.privilege) / "merged")

        def in_child() -> dict[str, str]:
            os.mkdir(target)
            return dataclasses.asdict(run(way, made.layers, task, target))

        try:
            return Outcome(**privilege.run(case.privilege, in_child, _LIMIT))
        except TimeoutError:
            return Outcome("time limit", "", f"not done after {_LIMIT:.0f} s")

    def _directory(self, where: str, who: str) -> pathlib.Path:
        self._count += 1
        directory = self._place / where / f"own-{os.getpid()}-{self._count}"
        directory.mkdir()
        if who == privilege.USERNS:
            os.chown(directory, privilege.NOBODY, privilege.NOBODY)
        return directory

    def _clean(self) -> None:
        """Remove the directories of a case; its mounts went with its namespace."""
        for parent in (*(self._place / "fs").iterdir(), self._place / "derived", self._place / "bundles"):
            for directory in parent.glob("*-[0-9]*"):
                shutil.rmtree(directory, ignore_errors=True)


def _ways(case: Case) -> list[Way]:
    """Give what would also keep the meaning of what was asked, the likeliest first."""
    options = case.options
    found = [Way(KERNEL, options)]
    if "userxattr" not in options:
        found.append(Way(KERNEL, ("userxattr", *options)))
    told = tuple(option for option in options if option == "volatile")
    found += [Way(FUSE, told), Way(FUSE, ("noacl", *told))]
    return [way for way in found if case.backend in ("", way.backend)]


def main() -> int:
    """Do what job.json in the directory says that is given; results go there too."""
    results, place = map(pathlib.Path, sys.argv[1:])
    job = Job(**json.loads((results / "job.json").read_text()))
    wanted = {case.name: case for case in (*cases.all_cases(), *cases.of_zfs())}
    place.mkdir(parents=True, exist_ok=True)
    agent = Agent(job, place)
    if job.doctor:
        (results / "doctor.json").write_text(json.dumps(agent.doctor()))
    with open(results / "cases.jsonl", "w") as file:
        for name in job.cases:
            file.write(json.dumps(agent.judge(wanted[name])) + "\n")
            file.flush()
            with contextlib.suppress(OSError):
                os.fsync(file.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())

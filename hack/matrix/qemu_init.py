"""The first process of a guest once it has its file systems: runs one command, leaves its status, powers off.

qemu.py copies it beside job.json, which says what to do; Python of the host runs it, without any package.
"""

import ctypes
import json
import os
import signal
import sys
import traceback
from typing import Any

_JOB = "/run/job"
_POWER_OFF = 0x4321FEDC


def main() -> None:
    """Do the job; whatever goes wrong is on the console, and the guest ends all the same."""
    try:
        with open(f"{_JOB}/job.json") as file:
            status = _run(json.load(file))
        with open(f"{_JOB}/status", "w") as file:
            file.write(f"{status}\n")
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os.sync()
    ctypes.CDLL(None).reboot(_POWER_OFF)


def _run(job: dict[str, Any]) -> int:
    os.environ.clear()
    os.environ.update(job["env"])
    os.chdir(job["cwd"])
    append = os.O_WRONLY | os.O_APPEND
    try:
        child = os.posix_spawnp(
            job["argv"][0],
            job["argv"],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, f"{_JOB}/stdout", append, 0),
                (os.POSIX_SPAWN_OPEN, 2, f"{_JOB}/stderr", append, 0),
            ],
            setsid=True,
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores them
        )
    except OSError as e:
        with open(f"{_JOB}/stderr", "a") as file:
            file.write(f"{job['argv'][0]}: {e.strerror}\n")
        return 127
    while True:  # process 1 reaps the orphans too
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


if __name__ == "__main__":
    main()

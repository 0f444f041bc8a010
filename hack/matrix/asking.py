"""What ocishim says of a bundle with one overlay: `ocishim plan BUNDLE --format json`.

As it is installed: started anew each time, or, once it is loaded, in forks. An interpreter that imports all
of it takes more than a second in User Mode Linux, a fork a tenth of that.
"""

import dataclasses
import gc
import importlib
import json
import os
import pathlib
import pkgutil
import subprocess
import sys
import time
from typing import Any, NoReturn

from . import calls, traces
from .judgement import Answer
from .ways import Layers

_RUNTIMES = ("/usr/sbin/runc", "/usr/bin/runc")
_PATIENCE = 40
#: What was told to end may take a moment.
_TO_END = 0.5


def plan(venv: str, bundle: str, layers: Layers, options: tuple[str, ...], forced: str = "") -> Answer:
    """Make the bundle in this directory, which is there, and ask, as whoever this process is.

    `forced` is a case's: BACKEND-by-annotation or BACKEND-by-option.
    """
    place = pathlib.Path(bundle)
    (place / "rootfs").mkdir()
    words = [*layers.words(), *options]
    spec: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "process": {"cwd": "/", "user": {"uid": 0, "gid": 0}, "args": ["true"], "env": ["PATH=/bin"]},
        "mounts": [{"destination": "/ov", "type": "overlay", "source": "overlay", "options": words}],
        "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]},
    }
    backend, _, by = forced.partition("-by-")
    if by == "annotation":
        spec["annotations"] = {"dev.ocishim/backend": f"/ov={backend}"}
    asked = ["plan", bundle, "--runtime", _runtime(), "--format", "json"]
    asked += ["--overlay", backend] if by == "option" else []
    (place / "config.json").write_text(json.dumps(spec))
    before, running = traces.mounts(), traces.processes()
    started = time.monotonic()
    done = run(venv, asked, place)
    seconds = time.monotonic() - started
    left = [f"mounted: {each}" for each in traces.mounts() if each not in before]
    left += [f"running: {each}" for each in _still_running(running)]
    return dataclasses.replace(understand(*done), seconds=seconds, left=tuple(left))


def _runtime() -> str:
    return next((path for path in _RUNTIMES if os.path.exists(path)), "runc")


def _still_running(before: dict[int, str]) -> list[str]:
    """Give the new processes, which have a moment to end."""
    end = time.monotonic() + _TO_END
    while True:
        found = [words for pid, words in traces.processes().items() if pid not in before]
        if not found or time.monotonic() > end:
            return found
        time.sleep(_TO_END / 20)


def load(venv: str) -> None:
    """Import all of the ocishim that is installed there: `run` needs no new interpreter from now on."""
    [packages] = pathlib.Path(venv).glob("lib/python3.*/site-packages")
    sys.path.insert(0, str(packages))
    ocishim = importlib.import_module("ocishim")
    assert packages in pathlib.Path(ocishim.__path__[0]).parents, f"{ocishim.__path__} is another one"
    for module in pkgutil.walk_packages(ocishim.__path__, "ocishim."):
        importlib.import_module(module.name)
    gc.freeze()  # collections in the forks would copy the memory that they share


def run(venv: str, words: list[str], place: pathlib.Path) -> tuple[int, str, str]:
    """Run ocishim; give status, stdout, stderr."""
    if "ocishim.shim" in sys.modules:
        return _run_fork(venv, words, place)
    try:
        done = subprocess.run(
            [f"{venv}/bin/python3", "-I", "-S", f"{venv}/bin/ocishim", *words],
            env=_environment(place),
            cwd=place,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1, "", f"no answer within {_PATIENCE} seconds"
    return done.returncode, done.stdout, done.stderr


def _environment(place: pathlib.Path) -> dict[str, str]:
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(place),
        "XDG_RUNTIME_DIR": str(place),
        "LANG": "C.UTF-8",
    }


def _run_fork(venv: str, words: list[str], place: pathlib.Path) -> tuple[int, str, str]:
    files = [os.memfd_create(name) for name in ("stdout", "stderr")]
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _be_ocishim([f"{venv}/bin/ocishim", *words], place, files)
    end = time.monotonic() + _PATIENCE
    status = None
    while status is None and time.monotonic() < end:
        ended, waited = os.waitpid(child, os.WNOHANG)
        if ended:
            status = os.waitstatus_to_exitcode(waited)
        else:
            time.sleep(0.005)
    if status is None:
        os.kill(child, 9)
        os.waitpid(child, 0)
    out, err = (os.pread(file, 1 << 24, 0).decode(errors="replace") for file in files)
    for file in files:
        os.close(file)
    return (-1, "", f"no answer within {_PATIENCE} seconds") if status is None else (status, out, err)


def _be_ocishim(words: list[str], place: pathlib.Path, files: list[int]) -> NoReturn:
    status = 255
    try:
        calls.die_with_parent()
        null = os.open("/dev/null", os.O_RDONLY)
        for number, file in enumerate((null, *files)):
            os.dup2(file, number)
        os.chdir(place)
        for name in list(os.environ):
            del os.environ[name]
        os.environ.update(_environment(place))
        sys.argv = words
        status = sys.modules["ocishim.shim"].main()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as e:
        os.write(2, f"{type(e).__name__}: {e}".encode(errors="replace"))
    finally:
        os._exit(status)


def understand(status: int, out: str, err: str) -> Answer:
    """Read what plan has printed."""
    said = err.strip()
    if status:
        return Answer(status, said=said)
    try:
        mount: dict[str, Any] = json.loads(out)["mounts"][0]
        usable = [each["backend"] for each in mount["candidates"] if not each["rejected"]]
        backend = mount.get("backend") or (usable[0] if usable else "")
        options = tuple(mount["options"][backend])
    except (ValueError, LookupError, TypeError) as e:
        return Answer(-1, said=f"what it printed is not a plan: {type(e).__name__}: {e}")
    return Answer(0, backend, options, said)

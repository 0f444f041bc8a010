"""Which modules ocishim has loaded when it becomes the runtime."""

import pathlib
import subprocess
import sys

import harness

#: The launcher as it is, on a host without settings of its own; where it would become the runtime it says
#: which modules are loaded.
_SPY = """
import posix, sys
real_execve = posix.execve
def execve(path, argv, environ):
    if path.endswith("/fuse-overlayfs"):
        real_execve(path, argv, environ)
    posix.write(2, "\\n".join(sys.modules).encode())
    posix._exit(0)
real_open = posix.open
def open_(path, *more, **named):
    if path == "/etc/ocishim/config.toml":
        raise FileNotFoundError
    return real_open(path, *more, **named)
posix.execve, posix.open = execve, open_
sys.argv = sys.argv[1:]
exec(posix.read(posix.open(sys.argv[0], posix.O_RDONLY), 65536))
"""


def _run(script: str, *words: str, **environ: str) -> set[str]:
    command = [sys.executable, "-IS", "-c", script, *words]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def loaded(directory: pathlib.Path, settings: str | None, *words: str) -> set[str]:
    """Give what ocishim has loaded at exec beyond what a bare interpreter has."""
    program = directory / "runtime"
    program.touch(mode=0o755)
    environ = {"OCISHIM_RUNTIME": str(program)}
    if settings is not None:
        (directory / "config.toml").write_text(settings)
        environ["OCISHIM_CONFIG"] = str(directory / "config.toml")
    bare = _run("import sys; print(*sys.modules, file=sys.stderr)")
    return _run(_SPY, str(harness.OCISHIM), *words, **environ) - bare

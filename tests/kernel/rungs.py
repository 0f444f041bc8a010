"""How kernels of different age take the layers of an overlay, brought about by strace."""

import pathlib

from harness import OCISHIM, Bundle, Host, Result

#: Layers by descriptor; by string, where those are refused; mount(2), where there is no fsopen(2).
RUNGS = {
    "fd": (),
    "string": ("-e", "trace=fsconfig", "-e", "inject=fsconfig:error=EINVAL:when=1"),
    "mount": ("-e", "trace=fsopen", "-e", "inject=fsopen:error=ENOSYS"),
}


def run(host: Host, bundle: Bundle, rung: str = "fd", *, mode: str = "kernel", name: str = "") -> Result:
    """Run the bundle in runc on a kernel of this age; raise RuntimeError if it was not asked to be one."""
    trace = host.directory / "trace"
    prefix = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", str(trace), *RUNGS[rung]] if RUNGS[rung] else []
    words = ["--overlay", mode, "--runtime", "runc", "--root", host.root("runc")]
    words += ["run", "--bundle", bundle.path, name or host.id("runc")]
    argv: list[str | pathlib.Path] = [*prefix, OCISHIM, *words]
    result = host.run("runc", argv)
    if prefix and "(INJECTED)" not in trace.read_text():
        raise RuntimeError(f"{rung}: nothing was refused; {result}")
    return result


def escape(path: str) -> str:
    """Write a path as overlay's options take it."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")

"""Upper and work directories that another container, or the host, already has in an overlay."""

import contextlib
import pathlib
import subprocess
from collections.abc import Iterator

import pytest
from harness import OCISHIM, Bundle, Host, Result, wait_for
from kernel import rungs

MODES = ["kernel", "fuse"]
REMEDY = (
    "stop the other container or give this one directories of its own; find a leaked mount by its processes; "
    "ocishim explain OVL-OPT-13\n"
)


@pytest.fixture(params=MODES)
def first(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=MODES)
def second(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _two(tmp_path: pathlib.Path, *options: str) -> tuple[Bundle, Bundle]:
    """Make two bundles; the first one's container stays, the second's overlay is what `options` say."""
    one, two = Bundle(tmp_path / "one"), Bundle(tmp_path / "two", "echo started")
    one.overlay()
    one.spec["process"]["args"] = ["sleep", "1000"]
    for name in ("lower", "upper", "work"):
        two.layer(name)
    two.overlay(*(option.replace("ONE", str(one.directory)) for option in options))
    return one, two


def _start(host: Host, bundle: Bundle, mode: str) -> str:
    name = host.id("runc")
    words = ("--overlay", mode, "run", "--detach", "--bundle", bundle.path, name)
    assert host.ocishim("runc", *words, detached=True) == Result(0, "", "")
    return name


SAME = ["lowerdir=lower", "upperdir=ONE/upper", "workdir=ONE/work-upper"]


@pytest.mark.parametrize(
    ("first", "second", "options", "taken"),
    [
        ("kernel", "kernel", SAME, "upper"),
        ("kernel", "fuse", SAME, "upper"),
        ("fuse", "kernel", SAME, "upper"),
        ("fuse", "fuse", SAME, "upper"),
        ("kernel", "fuse", ["lowerdir=lower", "upperdir=ONE/upper", "workdir=work"], "upper"),
        ("kernel", "kernel", ["lowerdir=lower", "upperdir=upper", "workdir=ONE/work-upper"], "work-upper"),
        ("fuse", "kernel", ["lowerdir=lower", "upperdir=upper", "workdir=ONE/work-upper"], "work-upper"),
        ("fuse", "fuse", ["lowerdir=lower", "upperdir=ONE/work-upper", "workdir=work"], "work-upper"),
    ],
)
def test_a_directory_that_a_container_has_is_refused(
    host: Host, tmp_path: pathlib.Path, first: str, second: str, options: list[str], taken: str
) -> None:
    one, two = _two(tmp_path, *options)
    name = _start(host, one, first)

    result = rungs.run(host, two, mode=second)

    role = "upperdir" if options[1].endswith(taken) else "workdir"
    assert (result.status, result.out, result.err.count("\n")) == (1, "", 1)
    assert result.err.startswith(
        f"ocishim: mounts[1]: {role}={one.directory}/{taken} is in use by container {name}, "
    )
    assert result.err.endswith(f"; {REMEDY}")


@pytest.mark.parametrize("way", ["symlink", "bind"])
def test_by_another_path_it_is_refused_too(
    host: Host, tmp_path: pathlib.Path, first: str, second: str, way: str
) -> None:
    other = tmp_path / "other"
    one, two = _two(tmp_path, "lowerdir=lower", f"upperdir={other}/upper", f"workdir={other}/work-upper")
    name = _start(host, one, first)
    prefix = []
    if way == "symlink":
        other.symlink_to(one.directory)
    else:
        other.mkdir()
        script = f'mount --bind {one.directory} {other}; exec "$@"'
        prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
    words = ["--overlay", second, "--runtime", "runc", "--root", host.root("runc")]

    result = host.run("runc", [*prefix, str(OCISHIM), *words, "run", "--bundle", two.path, host.id("runc")])

    path = one.directory if way == "symlink" else other
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith(f"ocishim: mounts[1]: upperdir={path}/upper is in use by container {name}, ")


def test_when_the_first_is_gone_it_is_free_at_once(
    host: Host, tmp_path: pathlib.Path, first: str, second: str
) -> None:
    one, two = _two(tmp_path, "lowerdir=lower", "upperdir=ONE/upper", "workdir=ONE/work-upper")
    name = _start(host, one, first)
    assert host.ocishim("runc", "delete", "--force", name).status == 0

    result = rungs.run(host, two, mode=second)

    assert result == Result(0, "started\n", "")


def test_of_many_that_start_at_once_one_wins(host: Host, bundle: Bundle, first: str) -> None:
    bundle.overlay()
    bundle.spec["process"]["args"] = ["sleep", "1000"]
    path = bundle.path
    names = [host.id("runc") for _ in range(5)]
    words = ["--overlay", first, "--runtime", "runc", "--root", host.root("runc"), "run", "--detach"]
    words += ["--bundle", path]
    with contextlib.ExitStack() as stack:
        logs = [stack.enter_context(open(host.directory / name, "w+")) for name in names]
        running = [
            subprocess.Popen(
                [OCISHIM, *words, name],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=host.environment(),
            )
            for name, log in zip(names, logs, strict=True)
        ]

        statuses = [process.wait(60) for process in running]

    said = {name: (host.directory / name).read_text() for name in names}
    [winner] = [name for name, status in zip(names, statuses, strict=True) if status == 0]
    assert sorted(statuses) == [0, 1, 1, 1, 1]
    assert said.pop(winner) == ""
    start = f"ocishim: mounts[1]: upperdir={bundle.directory}/upper is in use by container {winner}, "
    assert [text for text in said.values() if not text.startswith(start) or text.count("\n") != 1] == []


def test_read_only_containers_of_one_bundle_do_not_disturb_each_other(
    host: Host, bundle: Bundle, first: str, second: str
) -> None:
    bundle.layer("top", file="1\n")
    bundle.layer("bottom", other="2\n")
    bundle.overlay("lowerdir=top:bottom")
    bundle.spec["process"]["args"] = ["sleep", "1000"]
    one = _start(host, bundle, first)
    two = _start(host, bundle, second)
    cat = ("cat", "/ov/file", "/ov/other")

    both = [host.bare("runc", "exec", name, *cat) for name in (one, two)]
    assert host.ocishim("runc", "delete", "--force", one).status == 0
    after = host.bare("runc", "exec", two, *cat)

    assert [*both, after] == [Result(0, "1\n2\n", "")] * 3


@contextlib.contextmanager
def _mounted_by_the_host(bundle: Bundle) -> Iterator[int]:
    """Have the bundle's layers in a plain overlay, in a mount namespace of a process of its own."""
    target = bundle.layer("merged")
    at = bundle.directory
    options = f"lowerdir={at}/lower,upperdir={at}/upper,workdir={at}/work-upper"
    script = f"mount -t overlay -o {options} overlay {target} && echo ready && exec cat"
    with subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process.pid


def test_a_directory_that_the_host_has_is_refused(host: Host, bundle: Bundle, second: str) -> None:
    bundle.overlay()

    with _mounted_by_the_host(bundle) as pid:
        result = rungs.run(host, bundle, mode=second)

    at = f"mounts[1]: upperdir={bundle.directory}/upper"
    assert result == Result(1, "", f"ocishim: {at} is in use by pid {pid} (cat); {REMEDY}")


def test_a_long_list_of_layers_hides_no_upperdir(host: Host, bundle: Bundle) -> None:
    """Where mount(2) is told numbers for paths, mountinfo shows numbers."""
    names = [f"{number:02}{'x' * 100}" for number in range(60)]
    for name in names:
        bundle.layer(name)
    bundle.layer("upper")
    bundle.layer("work")
    bundle.overlay(f"lowerdir={':'.join(names)}", "upperdir=upper", "workdir=work")
    bundle.spec["process"]["args"][2] = "touch /ov/up; while [ -e /ov/up ]; do sleep 0.05; done"
    name = host.id("runc")
    strace = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", *rungs.RUNGS["mount"]]
    words = ["--overlay", "kernel", "--runtime", "runc", "--root", host.root("runc"), "run", "--bundle"]
    argv = [*strace, str(OCISHIM), *words, bundle.path, name]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, env=host.environment()) as process:
        assert wait_for((bundle.directory / "upper/up").exists)

        result = rungs.run(host, bundle)

        assert host.bare("runc", "exec", name, "rm", "/ov/up").status == 0
        assert process.wait(20) == 0
    where = f"ocishim: mounts[1]: upperdir={bundle.directory}/upper"
    assert result.err.startswith(f"{where} is in use by container {name}, ")


def test_an_upperdir_that_was_moved_while_in_use_is_refused(host: Host, bundle: Bundle) -> None:
    bundle.overlay()
    bundle.spec["process"]["args"] = ["sleep", "1000"]
    first = host.id("runc")
    run = ("run", "--detach", "--bundle", bundle.path, first)
    assert host.ocishim("runc", "--overlay", "kernel", *run, detached=True).status == 0
    (bundle.directory / "upper").rename(bundle.directory / "moved")
    bundle.layer("work2")
    bundle.spec["mounts"][1]["options"] = ["lowerdir=lower", "upperdir=moved", "workdir=work2"]

    result = host.ocishim("runc", "--overlay", "kernel", "run", bundle.path)

    assert result == Result(
        1,
        "",
        f"ocishim: mounts[1]: upperdir={bundle.directory}/moved is in use by another overlay, which has it "
        f"by another path; {REMEDY}",
    )


def test_a_path_that_only_somebody_says_is_in_use_is_not(host: Host, bundle: Bundle) -> None:
    bundle.overlay()
    liar = f"""
        set -e; cd {host.directory}; mkdir -p liar/up; mount -t tmpfs tmpfs liar; cd liar
        mkdir l m up w; mount -t overlay -o lowerdir=l,upperdir=$PWD/up,workdir=w o m
        echo ready; exec sleep 1000
    """
    process = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "bash", "-c", liar],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        assert process.stdout.readline() == "ready\n"
        # Here, outside the liar's tmpfs, its upperdir's path leads to the victim's.
        (host.directory / "liar/up").rmdir()
        (host.directory / "liar/up").symlink_to(bundle.directory / "upper")

        result = host.ocishim("runc", "run", bundle.path)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()

    assert result == Result(0, "", "")


def test_an_overlay_with_volatile_is_not_made_twice_of_one_workdir(host: Host, bundle: Bundle) -> None:
    bundle.overlay()["options"].append("volatile")
    first = host.ocishim("runc", "--overlay", "kernel", "run", bundle.path)

    again = [
        host.ocishim("runc", "--overlay", mode, "run", bundle.path) for mode in ("auto", "kernel", "fuse")
    ]

    assert first == Result(0, "", "")
    message = (
        f"ocishim: mounts[1]: upperdir={bundle.directory}/upper was mounted volatile before and may be "
        f"incomplete: {bundle.directory}/work-upper/work/incompat/volatile exists; begin a new upper layer; "
        "if you know that the data is whole, remove the mark; after EIO, sync and try again; "
        "ocishim explain OVL-OPT-17\n"
    )
    assert again == [Result(1, "", message)] * 3

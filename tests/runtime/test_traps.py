"""What runsc does to mounts that the others do not, and what is refused because of it."""

import shutil

import pytest
from harness import OCISHIM, Bundle, Host, Result, wait_for

_LOST = "writes to every mount stay in the sandbox, none reaches an upperdir"


def run(host: Host, bundle: Bundle, *flags: str, settings: str = "", **more: str) -> Result:
    if settings:
        host.set(settings)
    return host.ocishim("runsc", *flags, "run", bundle.path, **more)


@pytest.mark.parametrize("backend", ["kernel", "fuse"])
def test_noexec_ro_nosuid_and_nodev_are_known_inside(host: Host, bundle: Bundle, backend: str) -> None:
    bundle.layer("lower")
    shutil.copy("/bin/busybox", bundle.directory / "lower/true")
    for number, flag in enumerate(("noexec", "ro")):
        name = ("upper", "upper2")[number]
        bundle.overlay(lower="lower", upper=name, destination=("/ov", "/ov2")[number])["options"].append(flag)
    bundle.spec["process"]["args"][2] = "/ov/true; echo $?; echo x 2>&1 >/ov2/x; /ov2/true && echo ran"

    result = run(host, bundle, "--overlay", backend)

    assert result.out.splitlines() == [
        "126", "sh: can't create /ov2/x: Read-only file system", "ran",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "settings", "message"),
    [
        (
            ["--overlay2=all:memory"], "",
            f"runsc --overlay2=all:memory: {_LOST}; "
            "use --overlay2=root:… or none; ocishim explain OVL-RUN-13",
        ),
        (
            ["--overlay2", "all:dir=/tmp"], "",
            f"runsc --overlay2=all:dir=/tmp: {_LOST}; "
            "use --overlay2=root:… or none; ocishim explain OVL-RUN-13",
        ),
        (
            [], '[runtimes.runsc]\nargs = ["--network=none", "--overlay"]\n',
            "runsc --overlay: writes to every mount stay in the sandbox, none reaches an upperdir; "
            "use --overlay2=root:memory; ocishim explain OVL-RUN-13",
        ),
    ],
)  # fmt: skip
def test_flags_that_lose_writes_are_refused(
    host: Host, bundle: Bundle, flags: list[str], settings: str, message: str
) -> None:
    bundle.overlay()

    result = run(host, bundle, *flags, settings=settings)

    assert result == Result(1, "", f"ocishim: {message}\n")


def test_flags_that_lose_no_writes_to_mounts_are_not(host: Host, bundle: Bundle) -> None:
    bundle.overlay()
    bundle.spec["process"]["args"][2] = "echo x >/ov/x"

    result = run(host, bundle, "--overlay2=root:memory")

    assert result == Result(0, "", "")
    assert (bundle.directory / "upper/x").read_text() == "x\n"


def test_a_mount_hint_for_an_overlay_is_refused(host: Host, bundle: Bundle) -> None:
    entry = bundle.overlay()
    key = "dev.gvisor.spec.mount.data"
    bundle.spec["annotations"] = {
        f"{key}.source": f"{bundle.directory}/{entry['source']}",
        f"{key}.type": "bind",
        f"{key}.share": "container",
    }

    result = run(host, bundle)

    assert result == Result(
        1,
        "",
        f'ocishim: annotations["{key}.source"]: runsc would keep what is written to /ov from upperdir; '
        "remove the mount hint; ocishim explain OVL-RUN-14\n",
    )


@pytest.mark.parametrize("word", ["shared", "rshared"])
def test_shared_propagation_is_refused(host: Host, bundle: Bundle, word: str) -> None:
    bundle.overlay()["options"].append(word)

    result = run(host, bundle)

    message = f'mounts[1].options: runsc does not support "{word}"; use rslave or rprivate'
    assert result == Result(1, "", f"ocishim: {message}\n")


def test_a_relative_bundle_works_from_everywhere(host: Host, bundle: Bundle) -> None:
    bundle.overlay()
    bundle.spec["process"]["args"][2] = "echo x >/ov/x"
    assert bundle.path
    name = host.id("runsc")

    here = bundle.directory.parent
    create = host.ocishim("runsc", "create", "--bundle", bundle.directory.name, name, detached=True, cwd=here)
    start = host.ocishim("runsc", "start", name, cwd="/")

    assert (create, start) == (Result(0, "", ""), Result(0, "", ""))
    host.bare("runsc", "wait", name)
    assert (bundle.directory / "upper/x").read_text() == "x\n"


def test_a_restored_container_has_its_overlay_again(host: Host, bundle: Bundle) -> None:
    bundle.layer("lower", file="x\n")
    bundle.overlay()
    bundle.spec["process"]["args"][2] = "while sleep 0.1; do cat /ov/file >/ov/copy; touch /ov/time; done"
    first, second = host.id("runsc"), host.id("runsc")
    image = host.directory / "image"
    image.mkdir()
    upper = bundle.directory / "upper"
    run_words = ("run", "--detach", "--bundle", bundle.path, first)
    assert host.ocishim("runsc", *run_words, detached=True) == Result(0, "", "")
    assert host.ocishim("runsc", "checkpoint", "--image-path", str(image), first).status == 0
    host.ocishim("runsc", "delete", "--force", first)
    for file in upper.iterdir():
        file.unlink()

    words = ("restore", "--detach", "--image-path", str(image), "--bundle", bundle.path, second)
    result = host.ocishim("runsc", *words, detached=True)

    assert result == Result(0, "", "")
    assert wait_for(lambda: (upper / "time").exists() and (upper / "copy").read_text() == "x\n")


class TestExclusive:
    """--file-access-mounts=exclusive, where ocishim sees nobody else at the files."""

    def test_the_setting_adds_the_flags(self, host: Host, bundle: Bundle) -> None:
        bundle.overlay()
        witness = host.directory / "runsc"
        witness.write_text('#!/bin/sh\necho "$@"\n')
        witness.chmod(0o755)
        settings = f'[runtimes.runsc]\npath = "{witness}"\nexclusive = true\n'
        limit = "ulimit -n 20000; "

        host.set(settings)
        script = f"{limit} exec {OCISHIM} --runtime runsc run --bundle {bundle.path} c1"
        result = host.run("runsc", ["bash", "-c", script])

        words = f"--file-access-mounts=exclusive --dcache=5000 run --bundle {bundle.directory} c1\n"
        assert result == Result(0, words, "")

    def test_the_annotation_decides(self, host: Host, bundle: Bundle) -> None:
        bundle.layer("lower", file="x\n")
        bundle.overlay()
        bundle.spec["annotations"] = {"dev.ocishim/exclusive": "true"}
        bundle.spec["process"]["args"][2] = "cat /ov/file; echo y >/ov/file; cat /ov/file"

        result = run(host, bundle)

        assert result == Result(0, "x\ny\n", "")
        assert (bundle.directory / "upper/file").read_text() == "y\n"

    def test_a_layer_that_another_mount_writes_is_refused(self, host: Host, bundle: Bundle) -> None:
        bundle.overlay()
        bundle.spec["mounts"].append(
            {"destination": "/data", "type": "bind", "source": "lower", "options": ["rbind"]}
        )
        bundle.spec["annotations"] = {"dev.ocishim/exclusive": "true"}

        result = run(host, bundle)

        lower = bundle.directory / "lower"
        message = (
            f"mounts[2]: {lower} is shared with mounts[1]; run it without exclusive access; "
            "ocishim explain OVL-RUN-03"
        )
        assert result == Result(1, "", f"ocishim: {message}\n")

    def test_a_bind_that_another_container_has_is_refused(self, host: Host, bundle: Bundle) -> None:
        shared = bundle.layer("shared")
        other = Bundle(bundle.directory.parent / "other", "sleep 1000")
        for each in (bundle, other):
            each.spec["mounts"].append(
                {"destination": "/data", "type": "bind", "source": str(shared), "options": ["rbind"]}
            )
        bundle.overlay()
        bundle.spec["annotations"] = {"dev.ocishim/exclusive": "true"}
        name = host.id("runc")
        host.bare("runc", "run", "--detach", "--bundle", other.path, name, detached=True)

        result = run(host, bundle)

        assert result.status == 1
        assert result.err.startswith(f"ocishim: mounts[1]: {shared} is shared with container {name}, pid ")

    def test_another_word_than_true_or_false_is_refused(self, host: Host, bundle: Bundle) -> None:
        bundle.overlay()
        bundle.spec["annotations"] = {"dev.ocishim/exclusive": "yes"}

        result = run(host, bundle)

        message = 'annotations["dev.ocishim/exclusive"]: "yes" is neither "true" nor "false"; write "true"'
        assert result == Result(1, "", f"ocishim: {message}\n")

"""Command lines as engines write them: what ocishim finds in each, and that the runtime gets each whole."""

import pytest

from ocishim import argv

# podman and CRI-O, by conmon (engines.md 1.2 and 5)
UD = "/c/overlay-containers/1/userdata"
PODMAN_LOG = f"--log-format=json --log /run{UD}/oci-log"
# containerd and docker (3.2)
TASK = "/run/containerd/io.containerd.runtime.v2.task/k8s.io/1"
GLOBAL = f"--root /run/containerd/runc/k8s.io --log {TASK}/log.json --log-format json"
# containerd-shim-runsc-v1 (gvisor.md 6)
RUNSC = (
    "--root=/run/containerd/runsc/k8s.io --log=/t/log.json --log-format=json --panic-log=/t/panic.log "
    "--network=none --debug --debug-log=/t/%COMMAND%.log"
)

ENGINES = [
    # podman
    ("--version", ""),
    (
        f"{PODMAN_LOG} create --bundle {UD} --pid-file /p 1",
        f"create bundle={UD} id=1 log=/run{UD}/oci-log json",
    ),
    (
        f"--systemd-cgroup {PODMAN_LOG} create --bundle {UD} --pid-file /p --console-socket /tmp/t "
        "--preserve-fds 2 1",
        f"create bundle={UD} id=1 log=/run{UD}/oci-log json",
    ),
    (
        f"--debug --log=/mine {PODMAN_LOG} create --bundle {UD} --pid-file /p 1",
        f"create bundle={UD} id=1 log=/run{UD}/oci-log json",
    ),
    (f"create --bundle {UD} --pid-file /p 1", f"create bundle={UD} id=1"),
    ("start 1", "start id=1"),
    (
        "--log-format=json --log /l exec --pid-file /p --process /j --detach 1",
        "exec id=1 log=/l json",
    ),
    (
        "--log-format=json --log /l exec --pid-file /p --process /j --detach --tty --console-socket /s 1",
        "exec id=1 log=/l json",
    ),
    ("kill 1 15", "kill id=1"),
    ("pause 1", "pause id=1"),
    ("resume 1", "resume id=1"),
    ("update --resources=/var/tmp/podman1 1", "update id=1"),
    ("delete --force 1", "delete id=1"),
    # containerd and docker
    ("features", "features"),
    (
        f"{GLOBAL} create --bundle {TASK} --pid-file {TASK}/init.pid 1",
        f"create bundle={TASK} id=1 root=/run/containerd/runc/k8s.io log={TASK}/log.json json",
    ),
    (
        f"{GLOBAL} --systemd-cgroup create --bundle {TASK} --pid-file {TASK}/init.pid "
        "--console-socket /tmp/pty1/pty.sock 1",
        f"create bundle={TASK} id=1 root=/run/containerd/runc/k8s.io log={TASK}/log.json json",
    ),
    ("--root /r start 1", "start id=1 root=/r"),
    ("--root /r exec --process /p --detach --pid-file /e.pid 1", "exec id=1 root=/r"),
    (
        "--root /r exec --process /p --console-socket /s --detach --pid-file /e.pid 1",
        "exec id=1 root=/r",
    ),
    ("--root /r ps --format json 1", "ps id=1 root=/r"),
    ("--root /r pause 1", "pause id=1 root=/r"),
    ("--root /r resume 1", "resume id=1 root=/r"),
    ("--root /r update --resources - 1", "update id=1 root=/r"),
    ("--root /r update --resources=- 1", "update id=1 root=/r"),
    ("--root /r kill 1 15", "kill id=1 root=/r"),
    ("--root /r kill --all 1 9", "kill id=1 root=/r"),
    ("--root /r delete 1", "delete id=1 root=/r"),
    ("--root /r delete --force 1", "delete id=1 root=/r"),
    # docker's runtimeArgs come first
    ("--debug=false --root /r create --bundle /b --pid-file /p 1", "create bundle=/b id=1 root=/r"),
    # CRI-O
    ("--root=/r create --bundle /b --pid-file /p 1", "create bundle=/b id=1 root=/r"),
    ("--root /r --systemd-cgroup start 1", "start id=1 root=/r"),
    ("--root /r kill 1 TERM", "kill id=1 root=/r"),
    ("--root /r state 1", "state id=1 root=/r"),
    ("--root /r exec --process /p 1", "exec id=1 root=/r"),
    # containerd-shim-runsc-v1
    (
        f"{RUNSC} create --bundle /b --pid-file /p --console-socket /s --user-log /u 1",
        "create bundle=/b id=1 root=/run/containerd/runsc/k8s.io log=/t/log.json json",
    ),
    ("--root=/r start 1", "start id=1 root=/r"),
    ("--root=/r state 1", "state id=1 root=/r"),
    ("--root=/r list --format=json", "list root=/r"),
    (
        "--root=/r exec --process /p --detach --pid-file /q --internal-pid-file /i 1",
        "exec id=1 root=/r",
    ),
    ("--root=/r kill --all 1 9", "kill id=1 root=/r"),
    ("--root=/r kill --pid 7 1 9", "kill id=1 root=/r"),
    ("--root=/r delete --force 1", "delete id=1 root=/r"),
    ("--root=/r wait 1", "wait root=/r"),
    ("--root=/r restore --image-path=/i --detach 1", "restore id=1 root=/r"),
    ("--root=/r checkpoint --image-path=/i 1", "checkpoint id=1 root=/r"),
    ("--root=/r events 1", "events id=1 root=/r"),
]

FORMS = [
    # an id, a directory or a value may have the name of a command
    ("delete create", "delete id=create"),
    ("--root create state id", "state id=id root=create"),
    ("create --bundle run delete", "create bundle=run id=delete"),
    ("--log-format run --log state kill start", "kill id=start log=state run"),
    # ways to give the bundle: Go's flag package, urfave/cli, argp
    ("create -b /b 1", "create bundle=/b id=1"),
    ("create -b=/b 1", "create bundle=/b id=1"),
    ("create -b/b 1", "create bundle=/b id=1"),
    ("create -b/b=c 1", "create bundle=/b=c id=1"),
    ("create -bDIR 1", "create bundle=DIR id=1"),
    ("create --b /b 1", "create bundle=/b id=1"),
    ("create -bundle /b 1", "create bundle=/b id=1"),
    ("create -bundle=/b 1", "create bundle=/b id=1"),
    ("create --bundle=/b 1", "create bundle=/b id=1"),
    ("create --bundle=/b=c 1", "create bundle=/b=c id=1"),
    ("create --bundle -odd 1", "create bundle=-odd id=1"),
    ("create -b -b=c 1", "create bundle=-b=c id=1"),
    ("create --bundle=/a --bundle /b 1", "create bundle=/b id=1"),
    ("create 1", "create id=1"),
    ("create --bundle= 1", "create id=1"),
    # crun's --config
    ("create -f /c.json -b /b 1", "create bundle=/b config=/c.json id=1"),
    ("run --config=/c.json 1", "run config=/c.json id=1"),
    ("run -f/c.json 1", "run config=/c.json id=1"),
    # runc takes flags behind the id
    ("create 1 --bundle /b", "create bundle=/b id=1"),
    ("run 1 -d --bundle=/b", "run bundle=/b id=1"),
    # the end of flags
    ("create --bundle /b -- 1", "create bundle=/b id=1"),
    ("create -- --bundle", "create id=--bundle"),
    ("-- create --bundle /b 1", "create bundle=/b id=1"),
    ("run --", "run"),
    # booleans take no word
    ("--debug create --bundle /b 1", "create bundle=/b id=1"),
    ("--debug=true create --bundle /b 1", "create bundle=/b id=1"),
    ("run -d --keep --no-pivot 1", "run id=1"),
    ("restore -background --bundle /b 1", "restore bundle=/b id=1"),
    ("restore -file-locks --bundle /b 1", "restore bundle=/b id=1"),
    ("create --fs-restore-direct -fs-restore-image-path /i 1", "create id=1"),
    ("delete -f 1", "delete id=1"),
    ("delete -r 1", "delete id=1"),
    ("kill -a 1 9", "kill id=1"),
    ("update -r - 1", "update id=1"),
    ("checkpoint --leave-running --image-path /i 1", "checkpoint id=1"),
    ("list -q", "list"),
    # --rootless is a boolean to runsc, and takes a word with runc and crun
    ("--rootless auto create --bundle /b 1", "create bundle=/b id=1"),
    ("--rootless TRUE create --bundle /b 1", "create bundle=/b id=1"),
    ("--rootless 1 create --bundle /b 1", "create bundle=/b id=1"),
    ("--rootless=true create --bundle /b 1", "create bundle=/b id=1"),
    ("--rootless run --bundle /b 1", "run bundle=/b id=1"),
    ("--network host --rootless run --bundle /b 1", "run bundle=/b id=1"),
    # runsc's --overlay is a boolean
    ("--overlay create --bundle /b 1", "create bundle=/b id=1"),
    ("--overlay=true run 1", "run id=1"),
    ("--overlay=F run 1", "run id=1"),
    ("--overlay --network=none run 1", "run id=1"),
    ("--overlay do run", "do"),
    ("--overlay2 root:memory create 1", "create id=1"),
    # flags of releases to come
    ("--new create 1", "create id=1"),
    ("--new value create 1", "create id=1"),
    ("--new do create 1", "do"),
    ("--new help", "help"),
    ("create --new 1", "create id=1"),
    ("create --new value 1", "create id=1"),
    ("create --new=value 1", "create id=1"),
    ("create --new 1 --bundle /b", "create bundle=/b id=1"),
    ("create --new value --bundle /b 1", "create bundle=/b id=1"),
    # what follows the id of exec and ps is another program's
    ("exec -t 1 sh -c create --runtime x --overlay y --log z", "exec id=1"),
    ("exec --env A=1 --user 0 --cwd / 1 -- --help", "exec id=1"),
    ("ps 1 -ef --runtime x", "ps id=1"),
    # commands that ocishim does not know
    ("do --runtime x --overlay y --help", "do"),
    ("--root /r tar rootfs-upper --overlay=x 1", "tar root=/r"),
    ("install --runtime x -- --overlay=kernel", "install"),
    ("-", "-"),
    # no command
    ("", ""),
    ("--root /r", "root=/r"),
    ("--log", ""),
]


def found(line: str) -> str:
    """Say in one line what is found in a command line."""
    inv = argv.parse(line.split())
    words = [inv.command]
    for name, at in (("bundle", inv.bundle_at), ("config", inv.config_at), ("id", inv.id_at)):
        if at >= 0 and inv.value(at):
            words.append(f"{name}={inv.value(at)}")
    words += [f"{name}={value}" for name, value in (("root", inv.root), ("log", inv.log)) if value]
    words += [inv.log_format] if inv.log_format != "text" else []
    return " ".join(filter(None, words))


@pytest.mark.parametrize(("line", "expected"), ENGINES)
def test_what_engines_write_is_understood(line: str, expected: str) -> None:
    actual = found(line)

    assert expected == actual


@pytest.mark.parametrize(("line", "expected"), FORMS)
def test_every_form_that_a_runtime_reads_is_understood(line: str, expected: str) -> None:
    actual = found(line)

    assert expected == actual


@pytest.mark.parametrize("line", [line for line, _ in (*ENGINES, *FORMS)])
def test_the_runtime_gets_every_word_in_its_order(line: str) -> None:
    inv = argv.parse(line.split())

    assert line.split() == inv.words

"""What `--redact` hides, what it leaves, and that relations and validity stay."""

import dataclasses
import json
import re
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.test_doctor import RECORDED, SCHEMA, changed, judged

from ocishim import redact
from ocishim.cli.main import main
from ocishim.probe import facts as known
from ocishim.report import Line, Report, Verdict

VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
SECRETS = redact.Secrets(("alice", "root"), ("web1.example.com", "web1"), ("/srv/acme inc/b", "/home/alice"))


def hidden(*texts: str, secrets: redact.Secrets = SECRETS) -> list[str]:
    """Redact lines of a report."""
    lines = tuple(Line("no", text) for text in texts)
    return [
        line.what
        for line in redact.report(Report({"x": lines}, ()), redact.Placeholders(secrets)).sections["x"]
    ]


def redacted(document: dict[str, Any], secrets: redact.Secrets = SECRETS) -> dict[str, Any]:
    """Redact facts; they must stay valid and be loaded again."""
    facts = redact.facts(known.load(json.dumps(document)), redact.Placeholders(secrets))
    text = json.dumps(dataclasses.asdict(facts))
    VALIDATOR.validate(json.loads(text))
    assert known.load(text) == facts
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/alice/secret/runc", "/home/user-1/name-1/runc"),
        ("at /home/bob: gone", "at /home/user-1: gone"),
        ("/srv/acme inc/b/upper and /srv/acme inc/b", "/srv/name-1/name-2/upper and /srv/name-1/name-2"),
        ("/srv/acme inc/bc", "/srv/name-1 inc/bc"),  # not that path
        ("lower /x/y:/x/z, upper /x/u", "lower /name-1/name-2:/name-1/name-3, upper /name-1/name-4"),
        ("failed to resolve '/x/a b/c': -2", "failed to resolve '/name-1/name-2/name-3': -2"),
        ('open "/x/a b", then', 'open "/name-1/name-2", then'),
        ("lowerdir=/x/l1,upperdir=./y/u", "lowerdir=/name-1/name-2,upperdir=./name-3/name-4"),
        ("~/x ../x", "~/name-1 ../name-1"),
        ("alice on web1.example.com, Web1", "user-1 on host-1, host-2"),
        ("alice's and malice", "user-1's and malice"),
        ("/usr/bin/runc /lib/modules/6.1/x.ko /sys/a", "/usr/bin/runc /lib/modules/6.1/x.ko /sys/a"),
        ("/etc/ocishim/config.toml /etc/acme", "/etc/ocishim/config.toml /etc/name-1"),
        ("/run/ocishim/x /run/user/1000/acme", "/run/ocishim/x /run/user/1000/name-1"),
        ("/proc/1/root/acme /proc/self/fd/3", "/proc/1/root/name-1 /proc/self/fd/3"),
        ("/usr/../acme/x", "/usr/../name-1/name-2"),
        ("/dev/mapper/web1-root", "/dev/mapper/host-1-root"),
        ("and/or 1/2 runc|crun /", "and/or 1/2 runc|crun /"),
        ("kept name-1: /x/y", "kept name-1: /name-2/name-3"),
        ("root", "root"),
        ("", ""),
    ],
)  # fmt: skip
def test_text(text: str, shown: str) -> None:
    assert hidden(text) == [shown]


def test_the_same_name_gets_the_same_placeholder_everywhere() -> None:
    assert hidden("/x/y", "/z/x", "/home/alice/y", "alice: /home/bob/y, bob") == [
        "/name-1/name-2", "/name-3/name-1", "/home/user-1/name-2", "user-1: /home/user-2/name-2, user-2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "failed to verify upper (alice2/secret, ino=5, err=-116), try deleting index dir or mounting "
            "with '-o index=off' to disable inodes index",
            "failed to verify upper (name-1/name-2, ino=5, err=-116), try deleting index dir or mounting "
            "with '-o index=off' to disable inodes index",
        ),
        ("failed to resolve 'acme/lower': -2", "failed to resolve 'name-1/lower': -2"),
        ("failed to resolve acme corp: -2, db7", "failed to resolve name-1 name-2: -2, name-3"),
        ("filesystem on /srv/acme not supported", "filesystem on /srv/name-1 not supported"),
        ("overlapping lowerdir path, /lib/modules/x.ko", "overlapping lowerdir path, /lib/modules/x.ko"),
        ("nfs: server db7.acme not responding", "nfs: server name-1.name-2 not responding"),
        ("/ is not a mount point, as in a chroot", "/ is not a mount point, as in a chroot"),
    ],
)
def test_of_the_kernels_words_those_stay_that_the_catalogue_knows(said: str, shown: str) -> None:
    nobody = redact.Secrets()
    document = changed("6.18", trials=[{**RECORDED["6.18"]["trials"][0], "mount": no(said)}])
    in_a_line = changed("zfs-2.1")
    candidate = in_a_line["bundle"]["mounts"][0]["candidates"][0]
    candidate["rejected"] = f"upperdir=/srv is on ZFS (kernel log: {said}); nor by fuse-overlayfs: words stay"

    found = redacted(in_a_line, nobody)["bundle"]["mounts"][0]["candidates"][0]["rejected"]

    assert redacted(document, nobody)["trials"][0]["mount"]["said"] == shown
    assert found == f"upperdir=/srv is on ZFS (kernel log: {shown}); nor by fuse-overlayfs: words stay"


def no(said: str) -> dict[str, str]:
    """Give a refused attempt."""
    return {"result": "no", "step": "mount", "errno": "EINVAL", "said": said}


def test_facts_and_a_report_can_share_their_placeholders() -> None:
    shared = redact.Placeholders(SECRETS)
    facts = known.load(json.dumps(changed("6.18", fuse__program="/opt/acme/fuse-overlayfs")))

    program = redact.facts(facts, shared).fuse.program
    report = redact.report(Report({}, (Verdict(Line("ok", "/acme/x"), about="/acme"),), "/x"), shared)

    assert program == "/opt/name-1/fuse-overlayfs"
    assert (report.verdicts[0].line.what, report.verdicts[0].about, report.title) == (
        "/name-1/name-2", "/name-1", "/name-2",
    )  # fmt: skip


@pytest.mark.parametrize("name", RECORDED)
def test_the_facts_of_a_host_without_secrets_stay_as_they_are(name: str) -> None:
    assert redacted(RECORDED[name]) == RECORDED[name]


@pytest.mark.parametrize("form", ["text", "html", "json"])
def test_every_format_is_redacted(
    form: str, tmp_path: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER", "mallory")
    document = changed(
        "6.18", fuse__program="/home/alice/acme/fuse-overlayfs", fuse__version="by mallory 1.0"
    )
    document["trials"][0]["mount"] = {
        "result": "no", "step": "mount", "errno": "EPERM", "said": "no /srv/acme for alice",
    }  # fmt: skip
    file = tmp_path / "facts.json"
    file.write_text(json.dumps(document))

    status = main(["doctor", "--redact", "--format", form, "--facts", str(file)])

    out = capsys.readouterr().out
    assert re.findall("alice|acme|mallory", out) == []
    assert "/home/user-" in out
    assert status == judged(document).status


#: Words of paths: secret ones, plain ones, what looks like a placeholder, what breaks a pattern.
PART = st.sampled_from(
    [
        "s3cret",
        "S3cret",
        "s3cret b",
        "s3cret:c",
        "upper",
        "lib",
        "name-1",
        "user-1",
        "..",
        "7",
        "é",
        "*[",
        "\\",
        "",
    ]
) | st.text("ab .,:'\"\\\n\x1b\udcff", min_size=1, max_size=4)
PATH = st.lists(PART, min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts))
WORD = PATH | st.sampled_from(["alice", "web1", "said", "ENOENT", "'", '"', ":", "s3cret"])


FACTS = known.load(json.dumps(RECORDED["6.18"]))


def in_facts(program: str, module: str, said: str) -> known.Facts:
    """Give facts with these words in them; redacting is by field, the other ones are none of a user's."""
    fuse = dataclasses.replace(FACTS.fuse, program=program, module=module)
    trial = known.Trial("here", False, known.Attempt("no", "mount", "EPERM", said), {})
    return dataclasses.replace(FACTS, fuse=fuse, trials=(trial,), runtimes=())


@given(PATH, PATH, st.lists(WORD, max_size=6))
def test_what_is_a_path_is_hidden_and_relations_stay(one: str, other: str, said: list[str]) -> None:
    facts = in_facts(one, other, " ".join([one, *said, other]))

    found = redact.facts(facts, redact.Placeholders(SECRETS)).fuse

    assert "s3cret" not in (found.program + found.module).lower()
    assert (one == other) == (found.program == found.module)
    assert other.startswith(f"{one}/") == found.module.startswith(f"{found.program}/")
    assert one.count("/") == found.program.count("/")


@given(PATH, st.lists(WORD, max_size=6))
def test_what_is_redacted_stays_so_when_it_is_redacted_again(path: str, said: list[str]) -> None:
    once = redact.facts(in_facts(path, "", " ".join(said)), redact.Placeholders(SECRETS))

    assert redact.facts(once, redact.Placeholders(redact.Secrets())) == once


@given(st.lists(st.text(max_size=30), max_size=5), st.lists(st.text(max_size=5), max_size=3))
def test_any_text_and_any_secret_are_taken(texts: list[str], names: list[str]) -> None:
    secrets = redact.Secrets((*names,), (*names,), (*names, *(f"/{name}" for name in names)))

    assert len(hidden(*texts, secrets=secrets)) == len(texts)

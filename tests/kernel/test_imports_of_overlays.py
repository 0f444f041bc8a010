"""What a container with an overlay loads on top of one without: see tests/unit/test_imports.py."""

import harness
from spy import loaded

#: Free of re, json, enum, typing, subprocess and the like.
EXPECTED = {
    "_collections_abc", "_ctypes", "_json", "_stat", "errno",
    "fcntl", "gc", "genericpath", "ocishim", "ocishim.actor", "ocishim.argv", "ocishim.bundle",
    "ocishim.candidate", "ocishim.choice", "ocishim.container", "ocishim.drivers",
    "ocishim.drivers.kernel", "ocishim.errors",
    "ocishim.filesystems", "ocishim.initial", "ocishim.jsontext", "ocishim.layers", "ocishim.linux",
    "ocishim.mountinfo",
    "ocishim.namespaces", "ocishim.options", "ocishim.overlay", "ocishim.patience", "ocishim.plan",
    "ocishim.prepare", "ocishim.probe", "ocishim.probe.cache", "ocishim.probe.here", "ocishim.probe.holder",
    "ocishim.probe.kmsg", "ocishim.probe.layer", "ocishim.probe.marks", "ocishim.probe.mounted",
    "ocishim.probe.operations", "ocishim.probe.rehearsal", "ocishim.probe.room", "ocishim.probe.same",
    "ocishim.probe.sample", "ocishim.propagation",
    "ocishim.refusal", "ocishim.rewrite", "ocishim.runtime", "ocishim.settings", "ocishim.shim",
    "ocishim.stage", "ocishim.step", "ocishim.tomltext", "ocishim.trials",
    "os", "os.path", "posixpath", "select", "stat",
}  # fmt: skip

#: What depends on what this machine has mounted: a file system that may hang.
BY_MACHINE = {"select"}
#: What only a trial needs.
UNTRIED = {
    "ocishim.actor", "ocishim.probe.operations", "ocishim.probe.rehearsal", "ocishim.probe.room",
    "ocishim.probe.sample",
}  # fmt: skip


def test_a_kernel_overlay(host: harness.Host, bundle: harness.Bundle) -> None:
    bundle.overlay()

    found = loaded(host.directory, 'trial_cache = ""\n', "create", "--bundle", bundle.path, "c1")

    assert found | BY_MACHINE == EXPECTED


def test_an_overlay_like_one_that_went_well_before(host: harness.Host, bundle: harness.Bundle) -> None:
    bundle.overlay()
    words = (f'trial_cache = "{host.directory}/cache"\n', "create", "--bundle", bundle.path, "c1")
    first = loaded(host.directory, *words)

    again = loaded(host.directory, *words)

    assert (first | BY_MACHINE, again | BY_MACHINE) == (EXPECTED, EXPECTED - UNTRIED)


def test_a_fuse_overlay(host: harness.Host, bundle: harness.Bundle) -> None:
    bundle.overlay()
    settings = 'trial_cache = ""\n'

    found = loaded(host.directory, settings, "--overlay", "fuse", "create", "--bundle", bundle.path, "c1")

    assert found | BY_MACHINE == EXPECTED | {"ocishim.drivers.fuse"}


def test_an_overlay_of_idmapped_layers(host: harness.Host, bundle: harness.Bundle) -> None:
    entry = bundle.overlay()
    entry["uidMappings"] = entry["gidMappings"] = [{"containerID": 0, "hostID": 0, "size": 1}]

    found = loaded(host.directory, 'trial_cache = ""\n', "create", "--bundle", bundle.path, "c1")

    assert found | BY_MACHINE == EXPECTED | {"ocishim.shift", "ocishim.idmapped"}

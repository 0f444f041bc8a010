"""What a container with an overlay loads on top of one without: see tests/unit/test_imports.py."""

import harness
from spy import loaded

#: Free of re, json, enum, typing, subprocess and the like.
EXPECTED = {
    "_collections_abc", "_ctypes", "_json", "_stat", "_struct", "ctypes", "ctypes._endian", "errno",
    "fcntl", "genericpath", "ocishim", "ocishim.argv", "ocishim.bundle", "ocishim.container",
    "ocishim.drivers", "ocishim.drivers.kernel",  "ocishim.errors",
    "ocishim.jsontext", "ocishim.linux", "ocishim.mountinfo", "ocishim.namespaces", "ocishim.options",
    "ocishim.overlay", "ocishim.plan", "ocishim.prepare", "ocishim.probe", "ocishim.probe.holder",
    "ocishim.probe.kmsg", "ocishim.probe.layer", "ocishim.probe.mounted",
    "ocishim.propagation", "ocishim.rewrite", "ocishim.runtime", "ocishim.settings", "ocishim.shim",
    "ocishim.stage", "ocishim.tomltext", "os", "os.path", "posixpath", "stat", "struct", "types",
}  # fmt: skip


def test_a_kernel_overlay(host: harness.Host, bundle: harness.Bundle) -> None:
    bundle.overlay()

    found = loaded(host.directory, "", "create", "--bundle", bundle.path, "c1")

    assert found == EXPECTED


def test_a_fuse_overlay(host: harness.Host, bundle: harness.Bundle) -> None:
    bundle.overlay()

    found = loaded(host.directory, "", "--overlay", "fuse", "create", "--bundle", bundle.path, "c1")

    assert found == EXPECTED | {"ocishim.drivers.fuse", "select"}

"""ocishim: an OCI runtime shim that makes overlay mounts work, or says why they cannot."""

__version__ = "0.1.0"

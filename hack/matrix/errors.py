"""What keeps a kernel or a case from being judged; neither is a verdict."""


class UnavailableError(Exception):
    """A kernel that this machine cannot get or start: left out, and said."""


class GoneError(UnavailableError):
    """A suite, or its User Mode Linux, that the mirror does not have: no fault of this machine."""


class NotMadeError(Exception):
    """Layers that this kernel or machine cannot make: the case says nothing here, and that is said."""

"""Errors whose message is one line for the user: what was wrong, what was found, what to do."""


class DeepfakeError(Exception):
    """Base of every error that a command turns into one line and exit status 2."""


class VideoError(DeepfakeError):
    """A video that cannot be used; the message says why."""


class ManifestError(DeepfakeError):
    """A manifest that is missing, damaged or not ours."""

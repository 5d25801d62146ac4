"""Errors whose message is one line for the user: what was wrong, what was found, what to do."""

import importlib


class DeepfakeError(Exception):
    """Base of every error that a command turns into one line and exit status 2."""


class VideoError(DeepfakeError):
    """A video that cannot be used; the message says why."""


class ManifestError(DeepfakeError):
    """A manifest that is missing, damaged or not ours."""


def require(
    module: str, extra: str, purpose: str, kind: type[DeepfakeError] = DeepfakeError
) -> None:
    """Import a module that an extra of the package brings.

    Args:
        module: Such as "gradio".
        extra: Such as "app".
        purpose: What needs it, as the subject of a sentence.
        kind: Of the error.

    Raises:
        DeepfakeError: It is not installed; the message has the command that installs it.
    """
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise kind(
            f"{purpose} needs {module}, which is not installed. Run `pip install -e '.[{extra}]'`."
        ) from error

"""The options of commands that read videos of strangers."""

import argparse

from deepfake.errors import DeepfakeError
from preprocessing.limits import DEFAULT, Limits

_OPTIONS: tuple[tuple[str, str, type, str], ...] = (
    ("pixels", "--max-pixels", int, "of a frame; larger ones are refused by the header"),
    ("duration_s", "--max-duration", float, "of a video, in seconds"),
    ("decoded_bytes", "--max-decoded", int, "bytes of a video's frames decoded on the way"),
    ("faces", "--max-faces", int, "of a frame; the largest count"),
    ("tracks", "--max-people", int, "of a video; the longest seen count"),
)


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add `--max-...` and `--sandbox`."""
    group = parser.add_argument_group("files of strangers")
    for field, option, kind, words in _OPTIONS:
        default = getattr(DEFAULT, field)
        text = f"{words} (default: {default:,.0f})"
        group.add_argument(option, dest=field, type=kind, default=default, metavar="N", help=text)
    group.add_argument(
        "--sandbox",
        action="store_true",
        help="decode without network, other programs and processes (Linux)",
    )


def limits_of(arguments: argparse.Namespace) -> Limits:
    """Return the limits asked for.

    Raises:
        DeepfakeError: One is not above zero.
    """
    values = {field: getattr(arguments, field) for field, *_ in _OPTIONS}
    for field, option, *_ in _OPTIONS:
        try:
            Limits(**{field: values[field]})
        except ValueError as error:
            raise DeepfakeError(f"{option} must be above 0, got {values[field]}") from error
    return Limits(**values)

"""What pages are made with: templates whose every value is text to be escaped."""

from pathlib import Path
from typing import TYPE_CHECKING

from deepfake.report import words

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"


def environment() -> "Environment":
    """Return jinja2's environment of our templates."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["clock"] = words.clock
    return made

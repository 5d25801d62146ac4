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


def fragment(name: str, *given: object, **named: object) -> str:
    """Return what a macro of `app.html` makes of arguments, as HTML."""
    macro = getattr(environment().get_template("app.html").module, name)
    return str(macro(*given, **named)).strip()

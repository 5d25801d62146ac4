"""A model's card: what the model cannot do, to be shown beside its verdicts."""

import re
from pathlib import Path

CARD = "MODEL_CARD.md"  # beside the checkpoint
HEADING = "what it cannot do"
ERRORS = "how often it is wrong"
_MARKS = re.compile(r"\*\*|`|(?<!\w)[*_]|[*_](?!\w)")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def limits_beside(checkpoint: Path) -> tuple[str, ...]:
    """Return the limits that the card in a checkpoint's folder names; none without a card."""
    return limits_in(card_beside(checkpoint))


def card_beside(checkpoint: Path) -> str:
    """Return the card in a checkpoint's folder as Markdown; empty without one."""
    try:
        return (checkpoint.parent / CARD).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def errors_in(card: str) -> str:
    """Return the first paragraph under "How often it is wrong"; empty without one."""
    return (_section(card, ERRORS) or ("",))[0]


def limits_in(card: str) -> tuple[str, ...]:
    """Return the list items and paragraphs under "What it cannot do", without Markdown's marks.

    Args:
        card: Markdown.
    """
    return _section(card, HEADING)


def _section(card: str, heading: str) -> tuple[str, ...]:
    found: list[str] = []
    inside = fresh = False
    for line in card.splitlines():
        text = line.strip()
        if text.startswith("#"):
            inside = text.strip("# ").lower() == heading
            fresh = True
            continue
        item = re.match(r"[-*+]\s+", text)
        if not inside or not text:
            fresh = True
        elif item or fresh:
            found.append(text[item.end() :] if item else text)
            fresh = False
        else:
            found[-1] += f" {text}"
    return tuple(_MARKS.sub("", _LINK.sub(r"\1", text)) for text in found)

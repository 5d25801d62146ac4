"""A model's card: what the model cannot do, to be shown beside its verdicts."""

import re
from pathlib import Path

CARD = "MODEL_CARD.md"  # beside the checkpoint
HEADING = "what it cannot do"
_MARKS = re.compile(r"\*\*|`|(?<!\w)[*_]|[*_](?!\w)")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def limits_beside(checkpoint: Path) -> tuple[str, ...]:
    """Return the limits that the card in a checkpoint's folder names; none without a card."""
    try:
        return limits_in((checkpoint.parent / CARD).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return ()


def limits_in(card: str) -> tuple[str, ...]:
    """Return the list items and paragraphs under "What it cannot do", without Markdown's marks.

    Args:
        card: Markdown.
    """
    found: list[str] = []
    inside = fresh = False
    for line in card.splitlines():
        text = line.strip()
        if text.startswith("#"):
            inside = text.strip("# ").lower() == HEADING
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

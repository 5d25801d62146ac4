"""Pages in other languages, from one catalogue of gettext's .po files with English ids.

A page is made in English and its texts are then exchanged, so that nothing that makes pages knows
of languages. `{}` in an id stands for what differs: numbers, names, times. What is not in the
catalogue, such as the words of a model's card, stays as it is.
"""

import html
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "locale"
LANGUAGES = ("en", "de", "fr", "es", "ar")
RIGHT_TO_LEFT = ("ar",)
_KEPT = re.compile(r"(<(style|pre|code|script)\b.*?</\2>)", re.S)
_TEXTS = re.compile(r"(>)([^<>]*[A-Za-z][^<>]*)(<)|((?:aria-label|alt)=\")([^\"]+)(\")")
_VALUE = r"((?:(?![.;] ).){1,60}?)"  # of no more than a sentence
_SENTENCE = re.compile(r"(?<=[.;]) +")


def translated(page: str, language: str) -> str:
    """Return an English HTML page in one of `LANGUAGES`."""
    if language == "en":
        return page
    text = _translator(language)

    def exchange(found: re.Match[str]) -> str:
        before, words, after = (part for part in found.groups() if part is not None)
        core = words.strip()
        said = html.escape(text(" ".join(html.unescape(core).split())))
        return before + words.replace(core, said) + after

    parts = _KEPT.split(page)
    whole = "".join(
        part if k % 3 == 1 else _TEXTS.sub(exchange, part)
        for k, part in enumerate(parts)
        if k % 3 != 2
    )
    direction = ' dir="rtl"' if language in RIGHT_TO_LEFT else ""
    return whole.replace('<html lang="en">', f'<html lang="{language}"{direction}>', 1)


@cache
def catalogue(language: str) -> dict[str, str]:
    """Return the texts of a language by their English."""
    lines = (FOLDER / f"{language}.po").read_text(encoding="utf-8").splitlines()
    rows = [line.split(" ", 1) for line in lines if line.startswith(("msgid ", "msgstr "))]
    texts = [json.loads(quoted) for _, quoted in rows]
    return {a: b for a, b in zip(texts[::2], texts[1::2], strict=True) if a and b}


@cache
def _translator(language: str) -> Callable[[str], str]:
    known = catalogue(language)
    patterns = [
        (re.compile(re.escape(english).replace(r"\{\}", _VALUE)), said)
        for english, said in sorted(known.items(), key=lambda entry: -len(entry[0]))
        if "{}" in english
    ]

    def one(text: str) -> str | None:
        if text in known:
            return known[text]
        for pattern, said in patterns:
            if found := pattern.fullmatch(text):
                return said.format(*(one(value) or value for value in found.groups()))
        return None

    def whole(text: str) -> str:
        return one(text) or " ".join(one(part) or part for part in _SENTENCE.split(text))

    return whole

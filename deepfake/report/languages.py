"""Words in other languages, from one catalogue of gettext's .po files with English ids.

Texts are made in English and then exchanged, so that nothing that makes them knows of languages.
`{}` in an id stands for what differs: numbers, names, times. What is not in the catalogue, such as
an error or the card of a model of yours, stays as it is.
"""

import html
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "locale"
LANGUAGES = {
    "en": "English", "de": "Deutsch", "fr": "Français", "es": "Español", "ar": "العربية"
}  # fmt: skip
RIGHT_TO_LEFT = ("ar",)
_KEPT = re.compile(r"(<(style|pre|code|script)\b.*?</\2>)", re.S)
_TEXTS = re.compile(r"(>)([^<>]*[A-Za-z][^<>]*)(<)|((?:aria-label|alt|placeholder)=\")([^\"]+)(\")")
_VALUE = r"((?:(?![.;](?: |$)).){1,120}?)"  # of no more than a sentence
_SENTENCE = re.compile(r"(?<=[.;]) +")


def translated(page: str, language: str) -> str:
    """Return an English HTML page in one of `LANGUAGES`."""
    if language == "en":
        return page
    text = translator(language)

    def exchange(found: re.Match[str]) -> str:
        before, words, after = (part for part in found.groups() if part is not None)
        core = words.strip()
        said = html.escape(text(" ".join(html.unescape(core).split())))
        return before + words.replace(core, said) + after

    whole = "".join(
        part if k % 3 == 1 else _TEXTS.sub(exchange, part)
        for k, part in enumerate(_KEPT.split(page))
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
def translator(language: str) -> Callable[[str], str]:
    """Return what says an English line in a language; indentation and `- ` before it stay."""
    if language == "en":
        return str
    known = catalogue(language)
    patterns = [
        (re.compile(re.escape(english).replace(r"\{\}", _VALUE)), said)
        for english, said in sorted(known.items(), key=lambda e: (-e[0].count("("), -len(e[0])))
        if "{}" in english
    ]

    def one(text: str) -> str | None:
        if text in known:
            return known[text]
        for pattern, said in patterns:
            if found := pattern.fullmatch(text):
                return said.format(*map(each, found.groups()))
        return None

    def each(value: str) -> str:
        return one(value) or ", ".join(one(part) or part for part in value.split(", "))

    def sentence(text: str) -> str:
        if text.endswith(")") and "(" not in text:
            return sentence(text[:-1]) + ")"
        bare = text.rstrip(".;")
        return one(text) or (one(bare) or bare) + text[len(bare) :]

    def whole(text: str) -> str:
        core = text.lstrip(" -")
        said = one(core) or " ".join(map(sentence, _SENTENCE.split(core)))
        return text[: len(text) - len(core)] + said

    return whole

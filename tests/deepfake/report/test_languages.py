import html
import re
from pathlib import Path

import pytest

from deepfake.checkpoints.loading import load
from deepfake.inference import VideoPredictor
from deepfake.report.languages import _KEPT, _TEXTS, LANGUAGES, catalogue, translated
from deepfake.report.verdict_page import verdict_page

OTHERS = LANGUAGES[1:]


@pytest.mark.parametrize("language", OTHERS)
def test_a_catalogue_has_every_text_with_its_values(language: str) -> None:
    texts = catalogue(language)
    assert texts.keys() == catalogue("de").keys()
    assert not [
        english for english, said in texts.items() if english.count("{}") != said.count("{}")
    ]


def test_texts_are_exchanged_and_markup_is_not() -> None:
    page = '<html lang="en"><style>.real { }</style><p>real</p><code>real</code><b>x &amp; y</b>'
    said = translated(page, "de")
    assert said == page.replace('lang="en"', 'lang="de"').replace("<p>real", "<p>echt")
    assert translated(page, "en") == page
    assert '<html lang="ar" dir="rtl">' in translated(page, "ar")
    assert translated("<p>Person 3</p><p>nothing known</p>", "fr") == (
        "<p>Personne 3</p><p>nothing known</p>"
    )
    evil = "<p>Person &lt;script&gt;</p>"
    assert translated(evil, "es") == "<p>Persona &lt;script&gt;</p>"


def test_two_sentences_are_two_texts() -> None:
    two = "<p>Only faces are judged. It never decides.</p>"
    assert translated(two, "de") == "<p>Nur Gesichter werden beurteilt. Es entscheidet nie.</p>"


@pytest.mark.parametrize("language", OTHERS)
def test_a_page_is_nearly_all_in_its_language(
    language: str, checkpoint: Path, samples: Path
) -> None:
    predictor = VideoPredictor(load(checkpoint))
    clip = samples / "fake.mp4"
    extraction = predictor.look(clip)
    verdict = predictor.judge(clip, extraction)
    pages = [
        verdict_page(verdict, extraction, predictor, language=name) for name in ("en", language)
    ]
    english, said = (set(texts(page)) for page in pages)
    same = {text for text in english & said if len(text.split()) > 3}
    same -= {text for text in same if text.endswith("pixels")}  # the same word in French
    assert not same, "texts that the catalogue lacks"


def texts(page: str) -> list[str]:
    shown = "".join(part for k, part in enumerate(_KEPT.split(page)) if k % 3 == 0)
    shown = re.sub(r'<h2 id="provenance">.*', "", shown, flags=re.S)  # names of settings
    found = (" ".join(html.unescape(m[2] or m[5]).split()) for m in _TEXTS.finditer(shown))
    return [sentence for text in found for sentence in re.split(r"(?<=[.;]) ", text)]

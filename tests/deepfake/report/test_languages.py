import html
import re
from pathlib import Path

import pytest

from deepfake.checkpoints.loading import DEFAULT_MODEL, load
from deepfake.evaluation.likelihood import LikelihoodRatio
from deepfake.inference import VideoPredictor
from deepfake.inference.decision import STILL, UNCALIBRATED, UNLIKE_ANY
from deepfake.predict import describe
from deepfake.report.languages import (
    _KEPT,
    _TEXTS,
    LANGUAGES,
    catalogue,
    translated,
    translator,
)
from deepfake.report.verdict_page import verdict_page
from deepfake.types import FaceScore, Interval, ShotScore, TrackScore, Verdict

OTHERS = tuple(LANGUAGES)[1:]


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


@pytest.fixture(scope="module")
def english(samples: Path) -> str:
    predictor = VideoPredictor(load(DEFAULT_MODEL))
    clip = samples / "fake.mp4"
    extraction = predictor.look(clip)
    return verdict_page(predictor.judge(clip, extraction), extraction, predictor)


@pytest.mark.parametrize("language", OTHERS)
def test_a_page_is_in_its_language_down_to_the_card_s_words(language: str, english: str) -> None:
    same = set(texts(english)) & set(texts(translated(english, language)))
    same -= {text for text in same if text.endswith("pixels")}  # the same word in French
    assert not {text for text in same if len(text.split()) > 3}, "texts that the catalogue lacks"


VERDICTS = (
    Verdict(
        "clip.mp4",
        "fake",
        0.9,
        0.5,
        tracks=(TrackScore(0, 0.9, 3, 0.0, 4.0), TrackScore(1, 0.1, 1, 0.0, 4.0, STILL)),
        faces=(FaceScore(0.9, 0, 4, box=(0.0, 0.0, 40.0, 50.0)),) * 4,
        intervals=(Interval(0, 0.0, 4.0, 0.9),),
        shots=(ShotScore(0.0, 2.0, 0.9, 2), ShotScore(2.0, 4.0, 0.8, 1)),
        provenance={"frames_thinned": 2, "frames_wanted": 32, "frames_corrupt": 1},
        real_below=0.1,
        fake_from=0.6,
        likelihood_ratio=LikelihoodRatio(41.0, bounded=True),
    ),
    Verdict("clip.mp4", "real", 0.05, 0.5, looked_for="traces of a changed or swapped face, "
            "picture by picture", real_below=0.1, fake_from=None),
    Verdict("clip.mp4", "undecided", 0.3, 0.5, reason="scores between 0.10 and 0.60 are wrong too "
            "often", real_below=0.1, fake_from=0.6, provenance={"frames_wanted": 32}),
    Verdict("clip.mp4", "undecided", None, 0.5, reason="no face found in 32 frames (left out: 23 "
            "probability of a face too low, 6 too dark)", real_below=0.1, fake_from=0.6,
            provenance={"frames_wanted": 32}),
    Verdict("clip.mp4", "undecided", None, 0.5, reason="there is no person 9 (found: 1, 2)",
            real_below=0.1, fake_from=0.6, provenance={"only_person": 9}),
    Verdict("clip.mp4", "undecided", 0.3, 0.5, reason=UNCALIBRATED, calibrated=False),
    Verdict("clip.mp4", "undecided", 0.7, 0.5, reason=UNLIKE_ANY, likeness=0.01),
)  # fmt: skip


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("verdict", VERDICTS)
def test_the_console_speaks_the_language_too(language: str, verdict: Verdict) -> None:
    english = describe(verdict).splitlines()
    said = describe(verdict, say=translator(language)).splitlines()
    assert len(english) == len(said)
    for before, after in zip(english, said, strict=True):
        words = set(re.findall(r"[A-Za-z]{3,}", OPTION.sub("", after)))
        same = words & set(re.findall(r"[A-Za-z]{3,}", OPTION.sub("", before)))
        assert not same & ENGLISH, f"{after!r} is not in {language}"


ANSWERS = (
    "a.mp4 cannot be judged: cannot be read as a video (Invalid data found when processing input)",
    "a.mp4 cannot be judged: has no frame from 59 s; it lasts 5.7 s",
    "a.mp4 cannot be judged: has no video stream (found: audio)",
    "a.mp4 cannot be judged: is empty (0 bytes)",
    "'half' is no time; write 83.5 or 1:23.5",
    "the end, 1 s, is not after the start, 3 s",
    "frames must be from 1 to 10,000,000, got -4",
    "there is no person -1: people count from 1",
    "0:01.0: person 1 under 0.01, person 2 over 0.99",
    "Verdict: none",
)


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("english", ANSWERS)
def test_what_the_web_page_answers_is_in_the_language(language: str, english: str) -> None:
    said = re.sub(r"a\.mp4|'half'", "", translator(language)(english))
    same = set(re.findall(r"\b[a-z]{3,}", said)) & set(re.findall(r"\b[a-z]{3,}", english))
    assert not same - {"person", "audio", "bytes"}, said  # some languages have these too


OPTION = re.compile(r"clip\.mp4|--[\w-]+")
ENGLISH = {"the", "and", "looks", "fake", "below", "from", "face", "faces", "shot", "left",
           "frames", "out", "person", "what", "helps", "undecided", "likely", "low",
           "see", "there", "lit", "where"}  # fmt: skip


def texts(page: str) -> list[str]:
    shown = "".join(part for k, part in enumerate(_KEPT.split(page)) if k % 3 == 0)
    shown = re.sub(r'<h2 id="provenance">.*', "", shown, flags=re.S)  # names of settings
    found = (" ".join(html.unescape(m[2] or m[5]).split()) for m in _TEXTS.finditer(shown))
    return [sentence for text in found for sentence in re.split(r"(?<=[.;]) ", text)]

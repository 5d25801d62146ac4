"""A verdict's page: nothing from outside, nothing of the clip as markup, readable numbers."""

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from deepfake.calibration import Calibration
from deepfake.checkpoints.loading import Checkpoint, load
from deepfake.checkpoints.scorers import Faces, Scores
from deepfake.evaluation.likelihood import LikelihoodRatio
from deepfake.inference import VideoPredictor
from deepfake.report import words
from deepfake.report.charts import timeline_svg
from deepfake.report.key_frames import key_frames
from deepfake.report.outputs import file_stem
from deepfake.report.pictures import data_uri, heated
from deepfake.report.verdict_page import _picks, verdict_page
from deepfake.timeline import timelines
from deepfake.types import FaceScore, Verdict

EVIL = "<img src=x onerror=alert(1)>.mp4"
VOID = {"meta", "img", "br", "line", "rect", "polyline", "link", "input", "hr"}
URLS = {"src", "href", "srcset", "action", "data", "poster", "xlink:href"}


class Mild:
    """Says that the eyes of a face decide: the mean brightness of its upper half."""

    def score(self, faces: Faces) -> Scores:
        scores: Scores = faces[:, :, : faces.shape[2] // 2].mean(axis=(1, 2, 3)).astype(np.float64)
        return scores

    def warm_up(self) -> None:
        pass


class Page(HTMLParser):
    """Collects what a browser would load or run, and checks that tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.urls: list[str] = []
        self.handlers: list[str] = []
        self.ids: list[str] = []
        self.images_without_words = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        plain = dict(attrs)
        self.urls += [value or "" for name, value in attrs if name in URLS]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.images_without_words += tag == "img" and not plain.get("alt")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="session")
def mild(checkpoint: Path) -> Checkpoint:
    band = Calibration(threshold=0.2, low=0.1, high=0.3, reals=40, fakes=50)
    return replace(
        load(checkpoint),
        scorer=Mild(),
        calibration=band,
        note="<b>of a test</b>",
        limits=("Find <b>lip-sync</b>.",),
    )


@pytest.fixture(scope="session")
def evil_page(mild: Checkpoint, samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evil")
    clip = folder / EVIL
    shutil.copy(samples / "fake.mp4", clip)
    predictor = VideoPredictor(mild)
    extraction = predictor.look(clip)
    page = verdict_page(predictor.judge(clip, extraction), extraction, predictor)
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8", errors="backslashreplace")
    return file


def test_the_page_loads_and_runs_nothing(evil_page: Path) -> None:
    text = evil_page.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.urls
    assert all(url.startswith("data:image/jpeg;base64,") for url in page.urls)
    assert not {"script", "iframe", "object", "embed", "link", "base"} & set(page.names)
    assert not page.handlers
    assert "default-src 'none'" in text
    assert not re.search(r"url\(|@import|https?://|\"//", text)


def test_the_clip_s_name_is_only_text(evil_page: Path) -> None:
    text = evil_page.read_text(encoding="utf-8")
    assert "&lt;img src=x onerror=alert(1)&gt;.mp4" in text
    assert "<img src=x" not in text
    assert "<b>of a test" not in text
    assert "<b>lip-sync" not in text


def test_the_page_is_accessible(evil_page: Path) -> None:
    text = evil_page.read_text(encoding="utf-8")
    page = Page(text)
    assert page.images_without_words == 0
    assert len(page.ids) == len(set(page.ids))
    assert set(re.findall(r'aria-labelledby="([^"]+)"', text)) <= set(page.ids)
    assert '<html lang="en">' in text
    assert page.names.count("h1") == 1
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_the_page_tells_who_when_and_why(evil_page: Path) -> None:
    text = evil_page.read_text(encoding="utf-8")
    assert "Person 1" in text
    assert "heat map" in text
    assert "(occlusion)" in text
    assert "h264, yuv420p" in text
    assert "4 of 4 looked at" in text
    assert "sha256" in text
    assert "Only faces are judged." in text
    assert "What this model cannot do" in text
    assert "Content Credentials" in text
    assert "Key frames" in text
    assert str(evil_page.parent) not in text  # no local path
    assert "<li>Find &lt;b&gt;lip-sync&lt;/b&gt;.</li>" in text


def test_contrast_is_enough_in_light_and_dark() -> None:
    from deepfake.report.page import TEMPLATES

    style = (TEMPLATES / "verdict.html").read_text(encoding="utf-8")
    for scheme in re.findall(r":root \{([^}]+)\}", style)[:2]:
        colours = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{3,6})", scheme))
        for ink in ("ink", "dim", "fake", "real", "undecided"):
            for paper in ("paper", "card"):
                assert contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)


def contrast(one: str, other: str) -> float:
    """Contrast ratio by WCAG 2."""
    light = sorted((luminance(one), luminance(other)))
    return (light[1] + 0.05) / (light[0] + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    parts = np.array([int(digits[k : k + 2], 16) for k in (0, 2, 4)]) / 255
    linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_nobody_found_is_a_page_too(mild: Checkpoint, tmp_path: Path) -> None:
    import av

    clip = tmp_path / "grey.mp4"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 64
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    predictor = VideoPredictor(mild)
    extraction = predictor.look(clip)
    text = verdict_page(predictor.judge(clip, extraction), extraction, predictor)
    assert Page(text).open == []
    assert "Nobody was judged" in text
    assert "no face found in 3 frames" in text
    assert "Verdict: none" in text
    part = predictor.look(clip, start_s=0.04)
    frames = key_frames(clip, predictor.judge(clip, part), part.times_s)
    assert [frame.time_s for frame in frames] == [0.04, 0.08], "of the span that was looked at"


def test_the_chart_is_where_the_numbers_say() -> None:
    faces = [FaceScore(0.25, 0, k, float(k)) for k in range(5)]
    (line,) = timelines(faces, Calibration(), duration_s=4.0)
    span = (0.0, 4.0)
    svg = timeline_svg(line, faces, [], threshold=0.9, cuts_s=[1.0, 9.0], span_s=span, words="w")
    (points,) = re.findall(r'points="([^"]+)"', svg)
    assert points.split() == [f"{x},75.0" for x in (0.0, 0.0, 250.0, 500.0, 750.0, 1000.0, 1000.0)]
    assert svg.count('class="cut"') == 1
    assert 'class="threshold" vector-effect="non-scaling-stroke" x1="0" y1="10.0"' in svg


def test_a_click_on_the_chart_finds_the_nearest_face() -> None:
    faces = [FaceScore(0.5, 0, k, time_s) for k, time_s in enumerate((1.0, 2.0, 6.0))]
    picks = _picks(faces, (0.0, 10.0))
    assert picks == [(faces[0], 0.0, 15.0), (faces[1], 15.0, 25.0), (faces[2], 40.0, 60.0)]
    many = [FaceScore(0.5, 0, k, k / 10) for k in range(1000)]
    picks = _picks(many, (0.0, 99.9))
    assert len(picks) == 32
    assert sum(width for _, _, width in picks) == pytest.approx(100.0)
    assert (picks[0][0], picks[-1][0]) == (many[0], many[-1])


def test_every_judged_face_of_a_short_clip_can_be_picked(evil_page: Path) -> None:
    text = evil_page.read_text(encoding="utf-8")
    assert text.count('<input type="radio" name="person-1"') == 4
    assert text.count('<figure class="pick">') == 4


def test_pictures() -> None:
    image = np.full((40, 20, 3), 100, np.uint8)
    assert data_uri(image, 10).startswith("data:image/jpeg;base64,/9j/")
    heat = np.zeros((40, 20), np.float32)
    np.testing.assert_array_equal(heated(image, heat), image)
    heat[0, 0] = 1
    assert (heated(image, heat)[0, 0] != 100).all()


def test_words() -> None:
    assert [words.clock(t) for t in (0.0, 59.96, 75.25, 3661.0)] == [
        "0:00.0",
        "1:00.0",
        "1:15.2",
        "1:01:01.0",
    ]
    assert words.sides(Calibration()) == "It never decides."
    half = Calibration(low=0.5, high=0.5)
    assert words.sides(half) == "It calls a clip fake from 0.50 up, and real below."
    assert words.sides(Calibration(low=None, high=0.9)).startswith(
        "It calls a clip fake from 0.90, and none real"
    )
    plain = words.meaning(Verdict("a", "fake", 0.9, 0.5), Calibration())
    assert "not calibrated" in plain[-1]
    none = words.meaning(Verdict("a", "undecided", None, 0.5, reason="no face"), Calibration())
    assert none == ["No score could be given: no face."]


def test_an_answer_says_what_it_is_about() -> None:
    verdict = Verdict("a.mp4", "real", 0.1, 0.5, looked_for="traces of a swap")
    assert "not for lip movement" in verdict.scope
    said = " ".join(words.meaning(verdict, Calibration()))
    assert "It looked for traces of a swap. It did not look for lip movement" in said
    assert {"looked_for", "not_looked_for"} <= verdict.to_dict().keys()
    assert words.headline(verdict) == "No signs of a swapped face found"
    likely = replace(verdict, likelihood_ratio=LikelihoodRatio(0.125, bounded=True))
    assert (
        "this score is 8 times as likely if real: weak support. The validation videos bear out no "
        "more than that."
    ) in " ".join(words.meaning(likely, Calibration()))


def test_file_names_hold_nothing_special() -> None:
    assert file_stem("/a/\u202e../\x1b[31m\N{SNOWMAN}.mp4", "") == "31m-"
    assert file_stem("/a/\N{SNOWMAN}.mp4", "") == "clip-"


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_in_a_browser(evil_page: Path, tmp_path: Path, width: int) -> None:
    """No script ran, nothing was asked from outside, and nothing reaches over the side."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs chromium (apt-get install chromium)")
    probe = tmp_path / "probe.html"
    # The page inside a frame of the wanted width: a window may not be that narrow.
    shutil.copy(evil_page, tmp_path / "page.html")
    probe.write_text(
        f'<iframe id="f" src="page.html" width="{width}" height="900"></iframe><script>'
        "onload = () => { const d = document.getElementById('f').contentDocument;"
        "const broken = [...d.images].filter(i => !i.complete || !i.naturalWidth).length;"
        "const e = d.documentElement; document.title = ["
        "broken, e.scrollWidth - e.clientWidth, d.images.length > 0,"
        "getComputedStyle(d.querySelector('h1')).fontWeight].join(' '); };</script>"
    )
    command = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"),
        *(f"--user-data-dir={tmp_path}/profile", "--virtual-time-budget=3000"),
        *(f"--window-size={width + 60},1000", "--enable-logging=stderr", "--dump-dom"),
        probe.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "<title>0 0 true 700</title>" in done.stdout
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not console

"""One clip judged for the web page, its files, and their removal. Knows nothing of Gradio."""

import json
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import cast
from uuid import uuid4

from deepfake.checkpoints.loading import DEFAULT, DEFAULT_MODEL, LATEST, load
from deepfake.errors import DeepfakeError, VideoError
from deepfake.evaluation.stacking import Stack
from deepfake.inference import VideoPredictor
from deepfake.inference.clips import clip_for, judge_clips
from deepfake.inference.panel import Panel
from deepfake.report import words
from deepfake.report.advice import steps
from deepfake.report.languages import translated
from deepfake.report.outputs import file_stem
from deepfake.report.page import fragment
from deepfake.report.verdict_page import verdict_page
from deepfake.types import Verdict
from preprocessing.limits import Limits
from preprocessing.workers.sandbox import is_supported

KEPT_S = 900.0  # how long a verdict can be downloaded
TIMEOUT_S = 900.0
KEPT_CHECKPOINTS = 4
HEADLINE = "headline.txt"

Progress = Callable[[float, str], object]


@dataclass(frozen=True)
class Wish:
    """How a clip is to be judged."""

    checkpoints: tuple[str, ...]  # paths, or "default"; several judge side by side
    rule: str | None = None  # from faces to a verdict; None takes the checkpoint's
    start_s: float = 0.0  # begin of the span looked at, in seconds
    end_s: float | None = None  # its end; None for the end of the clip
    frames: int | None = None  # to look at; None takes the checkpoint's
    person: int | None = None  # the only one to judge, from 1; None for all
    language: str = "en"  # of the answer


@dataclass(frozen=True)
class Judged:
    """A verdict and its files."""

    id: str  # to find it again
    name: str  # of the clip
    headline: str  # the verdict in words, as HTML
    page: str  # the report as text, complete in itself
    report: Path  # the same as a file
    verdict_json: Path  # the verdict as a file


class Jobs:
    """Judge one clip after the other and clean up behind them.

    Args:
        folder: Where uploads and results lie; all in it may be removed.
        limits: What a clip may cost.
        stack: How several checkpoints become one answer, where just these are asked for.
    """

    def __init__(self, folder: Path, limits: Limits, stack: Stack | None = None) -> None:
        self.folder = folder
        self.limits = limits
        self.stack = stack
        self.sandbox = is_supported()
        self._predictor = lru_cache(KEPT_CHECKPOINTS)(VideoPredictor.from_checkpoint)

    def judge(self, clip: Path, wish: Wish, progress: Progress = lambda *_: None) -> Judged:
        """Return the verdict on a clip; it stays, to be judged again, until it is old.

        Args:
            clip: The file.
            wish: How.
            progress: Told the part that is done, in [0, 1], and what goes on.

        Raises:
            DeepfakeError: The clip or the checkpoint cannot be used.
        """
        self.remove_old()
        if not clip.is_file():
            raise VideoError(f"{clip.name} is not here any more: drop it again.")
        progress(0.05, "Loading the model")
        predictor = self._judges(wish)
        progress(0.2, "Looking for faces")
        task = clip_for(predictor, clip, start_s=wish.start_s, end_s=wish.end_s, limits=self.limits)
        (outcome,) = judge_clips(
            [task],
            predictor,
            timeout_s=TIMEOUT_S,
            sandbox=self.sandbox,
            found=lambda _: progress(0.7, "Scoring faces"),
        )
        if outcome.result is None:
            reason = outcome.reason.replace(str(clip), clip.name).removeprefix(f"{clip.name} ")
            raise VideoError(f"{clip.name} cannot be judged: {reason}")
        extraction = outcome.result.extraction
        assert extraction is not None
        verdict = replace(outcome.result.verdict, video=clip.name)
        progress(0.9, "Writing the report")
        judge = cast("VideoPredictor", predictor)  # a panel has all that pages ask for
        page = verdict_page(verdict, extraction, judge, clip=clip, language=wish.language)
        return self._write(verdict, page, wish.language)

    def _judges(self, wish: Wish) -> VideoPredictor | Panel:
        members = [
            VideoPredictor(
                self._predictor(name).checkpoint,
                aggregation=wish.rule,
                frames=wish.frames,
                only_person=wish.person,
            )
            for name in wish.checkpoints
        ]
        if not members:
            raise DeepfakeError("Choose a checkpoint first.")
        if len(members) == 1:
            return members[0]
        keys = {member.checkpoint.sha256 for member in members}
        fitted = self.stack is not None and keys == set(self.stack.members)
        return Panel(members, self.stack if fitted else None)

    def _write(self, verdict: Verdict, page: str, language: str) -> Judged:
        folder = self.folder / f"result-{uuid4().hex}"
        folder.mkdir(mode=0o700)
        stem = file_stem(verdict.video, verdict.provenance["sha256"])
        text = json.dumps(verdict.to_dict(), indent=2, allow_nan=False) + "\n"
        told = translated(headline(verdict), language)
        for name, said in ((f"{stem}.html", page), (f"{stem}.json", text), (HEADLINE, told)):
            (folder / name).write_text(said, encoding="utf-8")
        found = self.find(folder.name)
        assert found is not None
        return found

    def find(self, result: str) -> Judged | None:
        """Return what was judged before by its id; None where it is too old."""
        folder = self.folder / result
        if not re.fullmatch(r"result-[0-9a-f]{32}", result) or not folder.is_dir():
            return None
        (report,), (verdict_json,) = folder.glob("*.html"), folder.glob("*.json")
        name: str = json.loads(verdict_json.read_bytes())["video"]
        words = (folder / HEADLINE).read_text(encoding="utf-8")
        page = report.read_text(encoding="utf-8")
        return Judged(result, name, words, page, report, verdict_json)

    def remove_old(self, kept_s: float = KEPT_S) -> None:
        """Remove results and uploads that are older than so many seconds."""
        for folder in self.folder.iterdir():
            if folder.is_dir() and time.time() - folder.stat().st_mtime > kept_s:
                shutil.rmtree(folder, ignore_errors=True)


def headline(verdict: Verdict) -> str:
    """Return a verdict in words, as HTML."""
    tone, title = words.tone(verdict, verdict.label), words.headline(verdict)
    helps = [step.rsplit(" (", 1)[0] for step in steps(verdict)]  # commands are not for here
    return fragment("headline", verdict, tone, title, helps)


def checkpoint_choices(asked: Sequence[Path]) -> list[str]:
    """Return the checkpoints that the page offers: those asked for, else the usual ones.

    Raises:
        DeepfakeError: There is none.
    """
    for path in asked:
        load(path)  # a wrong one is told before the page is there
    usual = [DEFAULT] * DEFAULT_MODEL.is_file() + [LATEST] * LATEST.is_file()
    found = [str(path) for path in (asked or usual)]
    if not found:
        raise DeepfakeError(
            f"No checkpoint: {LATEST} does not exist and no default model is installed. Train one "
            "with `python -m deepfake.train`, or give --checkpoint FILE."
        )
    return found

"""One clip judged for the web page, its files, and their removal. Knows nothing of Gradio."""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

from deepfake.checkpoints.loading import DEFAULT, DEFAULT_MODEL, LATEST, load
from deepfake.errors import DeepfakeError, VideoError
from deepfake.inference import VideoPredictor
from deepfake.inference.worker import Clip, look
from deepfake.report.verdict_page import file_stem, verdict_page
from deepfake.types import Verdict
from preprocessing.limits import Limits
from preprocessing.workers.local import run_local
from preprocessing.workers.sandbox import check_supported

KEPT_S = 900.0  # how long a verdict can be downloaded
TIMEOUT_S = 900.0
KEPT_CHECKPOINTS = 2

Progress = Callable[[float, str], object]


@dataclass(frozen=True)
class Judged:
    """A verdict and its files.

    Args:
        verdict: Of the clip, under its own name without folders.
        page: The report as text, complete in itself.
        report: The same as a file.
        verdict_json: The verdict as a file.
    """

    verdict: Verdict
    page: str
    report: Path
    verdict_json: Path


class Jobs:
    """Judge one clip after the other and clean up behind them.

    Args:
        folder: Where uploads and results lie; all in it may be removed.
        limits: What a clip may cost.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder = folder
        self.limits = limits
        self.sandbox = _has_sandbox()
        self._predictor = lru_cache(KEPT_CHECKPOINTS)(VideoPredictor.from_checkpoint)

    def judge(
        self, clip: Path, checkpoint: str, rule: str | None, progress: Progress = lambda *_: None
    ) -> Judged:
        """Return the verdict on a clip; an uploaded clip is removed in any case.

        Args:
            clip: The file; removed if it lies in `folder`.
            checkpoint: A path, or "default".
            rule: From faces to a verdict; None takes the checkpoint's.
            progress: Told the part that is done, in [0, 1], and what goes on.

        Raises:
            DeepfakeError: The clip or the checkpoint cannot be used.
        """
        try:
            self.remove_old()
            progress(0.05, "Loading the model")
            predictor = VideoPredictor(self._predictor(checkpoint).checkpoint, aggregation=rule)
            progress(0.2, "Looking for faces")
            task = Clip(
                clip, predictor.options, predictor.checkpoint.recipe, 0.0, None, limits=self.limits
            )
            (outcome,) = run_local(
                look, [task], workers=1, timeout_s=TIMEOUT_S, sandbox=self.sandbox
            )
            if outcome.result is None:
                reason = outcome.reason.replace(str(clip), clip.name)
                raise VideoError(f"{clip.name} cannot be judged: {reason}")
            progress(0.7, "Scoring faces")
            verdict = replace(predictor.judge(clip, outcome.result), video=clip.name)
            progress(0.9, "Writing the report")
            page = verdict_page(verdict, outcome.result, predictor, clip=clip)
            return self._write(verdict, page)
        finally:
            self.remove_upload(clip)

    def _write(self, verdict: Verdict, page: str) -> Judged:
        folder = self.folder / f"result-{uuid4().hex}"
        folder.mkdir(mode=0o700)
        stem = file_stem(verdict)
        report, verdict_json = folder / f"{stem}.html", folder / f"{stem}.json"
        report.write_text(page, encoding="utf-8")
        text = json.dumps(verdict.to_dict(), indent=2, allow_nan=False)
        verdict_json.write_text(text + "\n", encoding="utf-8")
        return Judged(verdict, page, report, verdict_json)

    def remove_upload(self, clip: Path) -> None:
        """Remove a clip that was uploaded, with the folder made for it."""
        if clip.is_relative_to(self.folder) and clip.parent != self.folder:
            shutil.rmtree(clip.parent, ignore_errors=True)

    def remove_old(self, kept_s: float = KEPT_S) -> None:
        """Remove results that are older than so many seconds."""
        for folder in self.folder.glob("result-*"):
            if time.time() - folder.stat().st_mtime > kept_s:
                shutil.rmtree(folder, ignore_errors=True)


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


def _has_sandbox() -> bool:
    try:
        check_supported()
    except DeepfakeError:
        return False
    return True

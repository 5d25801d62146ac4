"""Several checkpoints' scores of the same videos, joined."""

import numpy as np
import pytest

from deepfake.calibration import Calibration
from deepfake.errors import DeepfakeError
from deepfake.evaluation.comparison import compare_checkpoints
from deepfake.evaluation.panel import PANEL, with_panel
from deepfake.evaluation.scores import Judge, ScoredVideo, Scores
from deepfake.types import FaceScore
from preprocessing.types import Label

NUMBER = 160


def scored(name: str, logits: np.ndarray, *, fakes: bool = True) -> list[ScoredVideo]:
    found = []
    for i, logit in enumerate(logits):
        label: Label = 1 if fakes and i % 2 else 0
        face = FaceScore(float(1 / (1 + np.exp(-logit))), track=0, frame=0)
        rest = {"damage": "", "level": 0, "dataset": "d", "method": "m", "compression": ""}
        found.append(
            ScoredVideo(
                checkpoint=name,
                video=f"v{i}",
                group=f"p{i // 4}",
                label=label,
                split=None,
                faces=() if i == 7 and name == "motion" else (face,),
                **rest,  # type: ignore[arg-type]
            )
        )
    return found


def scores(*, fakes: bool = True, copy: bool = False) -> Scores:
    rng = np.random.default_rng(0)
    fake = np.arange(NUMBER) % 2
    half = np.arange(NUMBER) // 2 % 2
    swap = rng.normal(size=NUMBER) + 4 * fake * half
    motion = rng.normal(size=NUMBER) + 4 * fake * (1 - half)
    videos = scored("swap", swap, fakes=fakes) + scored("motion", motion, fakes=fakes)
    judges = {"swap": Judge(sha256="a"), "motion": Judge(Calibration(), sha256="b")}
    if copy:
        videos += scored("copy", swap, fakes=fakes)
        judges["copy"] = Judge(sha256="c")
    return Scores(tuple(videos), judges)


def of(found: Scores, name: str) -> list[ScoredVideo]:
    return [video for video in found.videos if video.checkpoint == name]


def test_the_panel_is_measured_like_a_checkpoint_and_finds_both_kinds() -> None:
    joined, stack = with_panel(scores())
    assert stack is not None
    for name in ("swap", "motion"):
        _, test = compare_checkpoints(of(joined, PANEL), of(joined, name))
        assert test.difference > 0.1
        assert test.p_value < 0.001
    assert len(of(joined, PANEL)) == NUMBER
    assert joined.judges[PANEL].calibration == stack.calibration


def test_a_copy_changes_nothing() -> None:
    plain, doubled = with_panel(scores())[0], with_panel(scores(copy=True))[0]
    assert [v.faces for v in of(plain, PANEL)] == [v.faces for v in of(doubled, PANEL)]


def test_a_panel_fitted_before_is_used_as_it_is() -> None:
    _, stack = with_panel(scores())
    assert stack is not None
    unlabelled = scores(fakes=False)
    joined, again = with_panel(unlabelled, stack)
    assert again is stack
    assert len(of(joined, PANEL)) == NUMBER


def test_one_checkpoint_is_no_panel_and_one_class_fits_none() -> None:
    one = Scores(tuple(of(scores(), "swap")), {"swap": Judge(sha256="a")})
    assert with_panel(one) == (one, None)
    with pytest.raises(DeepfakeError, match="one class"):
        with_panel(scores(fakes=False))

"""Several checkpoints on one clip."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch

import deepfake
from deepfake.calibration import Calibration
from deepfake.checkpoints.loading import Checkpoint, load
from deepfake.checkpoints.scorers import Faces, Scores
from deepfake.errors import DeepfakeError
from deepfake.evaluation.stacking import Stack, fit_stack
from deepfake.inference import VideoPredictor
from deepfake.inference.panel import DISAGREE, Panel
from deepfake.predict import main

Contents = dict[str, object]


class Fixed:
    """Gives every face the same score."""

    def __init__(self, score: float) -> None:
        self.value = score

    def score(self, faces: Faces) -> Scores:
        return np.full(len(faces), self.value)

    def warm_up(self) -> None:
        pass


@pytest.fixture(scope="session")
def loaded(checkpoint: Path) -> Checkpoint:
    return load(checkpoint)


@pytest.fixture(scope="session")
def member(loaded: Checkpoint) -> Callable[..., VideoPredictor]:
    limits = Calibration(low=0.3, high=0.7)

    def make(name: str, score: float, *, margin: float = 0.3) -> VideoPredictor:
        options = replace(loaded.preprocess, margin=margin)
        return VideoPredictor(
            replace(
                loaded,
                name=name,
                sha256=name,
                scorer=Fixed(score),
                calibration=limits,
                preprocess=options,
            )
        )

    return make


def stack() -> Stack:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 100)
    scores = {
        name: [float(1 / (1 + np.exp(-z))) for z in rng.normal(size=200) + 5 * labels - 2.5]
        for name in ("swap", "motion")
    }
    people = [str(i) for i in range(200)]
    return fit_stack(labels, scores, people, dict.fromkeys(scores, Calibration()))[0]


def test_each_method_has_a_row_of_the_same_people(
    member: Callable[..., VideoPredictor], samples: Path
) -> None:
    panel = Panel([member("swap", 0.9), member("motion", 0.8, margin=0.6)])
    verdict = panel.predict(samples / "real.mp4")
    assert [row.method for row in verdict.methods] == ["swap", "motion"]
    assert [row.score for row in verdict.methods] == pytest.approx([0.9, 0.8])
    assert [[t.track for t in row.tracks] for row in verdict.methods] == [[0], [0]]
    assert verdict.label == "fake"
    assert "swap" in str(verdict.methods[0])
    assert verdict.checkpoint == "panel of swap, motion"


@pytest.mark.parametrize(
    ("scores", "label"),
    [((0.9, 0.8), "fake"), ((0.1, 0.2), "real"), ((0.9, 0.5), "fake"), ((0.5, 0.5), "undecided")],
)
def test_without_a_fitted_panel_those_that_decide_must_agree(
    member: Callable[..., VideoPredictor],
    samples: Path,
    scores: tuple[float, float],
    label: str,
) -> None:
    panel = Panel([member("swap", scores[0]), member("motion", scores[1])])
    assert panel.predict(samples / "real.mp4").label == label


def test_methods_that_disagree_leave_it_undecided(
    member: Callable[..., VideoPredictor], samples: Path
) -> None:
    panel = Panel([member("swap", 0.05), member("motion", 0.95)])
    verdict = panel.predict(samples / "real.mp4")
    assert verdict.label == "undecided"
    assert verdict.reason == DISAGREE
    assert {row.label for row in verdict.methods} == {"real", "fake"}


def test_a_copy_of_a_member_changes_nothing(
    member: Callable[..., VideoPredictor], samples: Path
) -> None:
    alone = Panel([member("swap", 0.9), member("motion", 0.8)], stack())
    doubled = Panel([member("swap", 0.9), member("motion", 0.8), member("swap", 0.9)], stack())
    first, second = (p.predict(samples / "real.mp4") for p in (alone, doubled))
    assert first.score == second.score
    assert first.methods == second.methods
    assert first.label == second.label == "fake"


def test_a_fitted_panel_says_what_its_members_did(
    member: Callable[..., VideoPredictor], samples: Path
) -> None:
    panel = Panel([member("swap", 0.02), member("motion", 0.03)], stack())
    verdict = panel.predict(samples / "real.mp4")
    assert verdict.label == "real"
    assert all("of 100 reals called fake" in row.validated for row in verdict.methods)
    assert (verdict.real_below, verdict.fake_from) == (
        panel.calibration.low,
        panel.calibration.high,
    )


def test_a_panel_of_other_checkpoints_is_refused(member: Callable[..., VideoPredictor]) -> None:
    with pytest.raises(DeepfakeError, match="not among those given"):
        Panel([member("swap", 0.9), member("another", 0.9)], stack())


def test_predict_takes_several_checkpoints(
    checkpoint: Path,
    contents: dict[str, object],
    samples: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    second = tmp_path / "second.ckpt"
    state = contents["state_dict"]
    assert isinstance(state, dict)
    contents["state_dict"] = {k: torch.as_tensor(v) * 1.1 for k, v in state.items()}
    torch.save(contents, second)
    out, pages = tmp_path / "verdicts.json", tmp_path / "pages"
    clip = str(samples / "real.mp4")
    given = ["--checkpoint", str(checkpoint), "--checkpoint", str(second)]
    assert main([clip, *given, "--json", str(out), "--report", str(pages)]) == 0
    verdicts = json.loads(out.read_text())
    schema = Path(deepfake.__file__).parent / "report" / "verdict.schema.json"
    jsonschema.validate(verdicts[0], json.loads(schema.read_text()))
    assert [row["method"] for row in verdicts[0]["methods"]] == [str(checkpoint), str(second)]
    assert str(second) in capsys.readouterr().out
    (page,) = pages.glob("*.html")
    text = page.read_text()
    assert "Each method by itself" in text
    assert f"panel of {checkpoint.name}, {second.name}" in text
    assert str(tmp_path) not in text, "a page does not tell where files lie"

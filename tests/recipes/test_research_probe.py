"""The row of general features: what it learns from, what it is compared with."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from deepfake.aggregation import WorstPerson
from deepfake.errors import DeepfakeError
from deepfake.evaluate import main
from deepfake.evaluation.measures import auroc
from deepfake.evaluation.predictions import write_predictions
from deepfake.evaluation.scores import ScoredVideo
from deepfake.evaluation.summary import judge
from deepfake.types import FaceScore
from preprocessing.crops.manifest import OPTIONS, write_manifest
from preprocessing.types import FaceCrop, Image, Label, Split
from recipes.research import probe as recipe
from recipes.research.probe import probe, rows

BOX, POINTS = (0.0, 0.0, 8.0, 8.0), np.zeros((5, 2), dtype=np.float32)


def colours(images: Sequence[Image]) -> NDArray[np.float64]:
    return np.stack([image.mean(axis=(0, 1)) for image in images])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Forty people, each real and fake, half of them to learn from; fakes are a little redder."""
    folder, rng, crops = tmp_path / "faces", np.random.default_rng(0), []
    for person in range(40):
        for label in (0, 1):
            name = f"{person:02}{'f' if label else 'r'}"
            (folder / "crops" / name).mkdir(parents=True)
            for frame in range(2):
                image = rng.normal((100, 100, 100 + 12 * label), 6, (8, 8, 3)) + rng.normal(0, 2, 3)
                path = f"crops/{name}/{frame}.png"
                cv2.imwrite(str(folder / path), np.clip(image, 0, 255).astype(np.uint8))
                side: Split = "train" if person < 20 else "test"
                kind: Label = 1 if label else 0
                crops.append(
                    FaceCrop(path, f"set/x/{name}", 0, frame, 0.0, BOX, 1.0, POINTS, BOX, kind,
                             (f"p{person}",), dataset="set", split=side)
                )  # fmt: skip
    write_manifest(folder, crops)
    (folder / OPTIONS).write_text(json.dumps({"frames": 2, "version": 1}), encoding="utf-8")
    return folder


def scored(people: Sequence[int], name: str = "ours") -> list[ScoredVideo]:
    """Return what a detector that knows nothing says of some people's videos, and of a lost one."""
    rng, found = np.random.default_rng(2), []
    for person in people:
        for label in (0, 1):
            kind: Label = 1 if label else 0
            key = f"set/x/{person:02}{'f' if label else 'r'}"
            face = FaceScore(float(rng.random()), track=0, frame=0)
            found.append(
                ScoredVideo(name, "", 0, "set, list 1", "", "", key, f"p{person}", kind, "test",
                            (face,))
            )  # fmt: skip
    return found


def test_it_learns_from_one_side_and_judges_what_others_scored(data: Path) -> None:
    found = rows([data], [data], colours, like=scored(range(20, 40)))
    assert len(found) == 40
    assert {video.dataset for video in found} == {"set, list 1"}  # named as there
    judged = judge(found)
    assert auroc(judged.labels, judged.raw) > 0.9
    assert len(np.unique(judged.groups)) == 20
    # A video that has no crop, here of a person who is not in the folder, is not scored.
    lost = rows([data], [data], colours, like=scored(range(30, 41)))
    assert [video.video[-3:] for video in lost if not video.faces] == ["40r", "40f"]


def test_features_that_say_nothing_are_at_chance() -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(400) % 2
    groups = [str(k // 4) for k in range(400)]
    told = probe(rng.normal(size=(400, 30)), labels, groups, rng.normal(size=(400, 30)))
    assert auroc(labels, told) == pytest.approx(0.5, abs=0.09)
    assert 0.3 < told.mean() < 0.7


def test_people_on_both_sides_are_refused(data: Path) -> None:
    with pytest.raises(DeepfakeError, match="5 people or sources are on both sides"):
        rows([data], [data], colours, like=scored(range(15, 40)))
    drawn: dict[str, Split] = {f"set/x/{k:02}{kind}": "test" for k in range(40) for kind in "rf"}
    drawn |= {f"set/x/{k:02}{kind}": "train" for k in range(15) for kind in "rf"}
    assert len(rows([data], [data], colours, like=scored(range(15, 40)), sides=drawn)) == 50
    with pytest.raises(DeepfakeError, match="no labelled face"):
        rows([data], [data], colours, like=[], sides=dict.fromkeys(drawn, "test"))
    with pytest.raises(DeepfakeError, match="real and fake"):
        probe(np.zeros((4, 2)), np.zeros(4, np.int64), list("aabb"), np.zeros((1, 2)))


def test_it_stands_in_the_table_with_a_paired_test(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "frozen", lambda _: colours)
    out, theirs = tmp_path / "probe.csv", tmp_path / "ours.csv"
    write_predictions(theirs, scored(range(20, 40)), rule=WorstPerson())
    folders = ["--train", str(data), "--data", str(data)]
    recipe.main([*folders, "--scores", str(theirs), "--out", str(out)])
    report = tmp_path / "report"
    files = [str(theirs), str(out)]
    assert main(["report", *files, "--out", str(report), "--repeats", "5"]) == 0
    text = (report / "tables.md").read_text(encoding="utf-8")
    tests = [line for line in text.splitlines() if line.startswith("| set, list 1 | ours | probe")]
    (line,) = tests
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[3:5] == ["40", "20"]  # videos, and people
    assert float(cells[7]) < -0.2  # the probe is better
    assert float(cells[10]) < 0.01

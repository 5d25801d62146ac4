"""Where faces lie on the map: each is read from its own folder."""

from pathlib import Path

import numpy as np

from deepfake.calibration import fit
from deepfake.checkpoints.loading import Checkpoint
from deepfake.checkpoints.scorers import Faces, Features, Scores
from deepfake.evaluation.embedding import SCHEMA, embed, read_embedding
from deepfake.evaluation.faces import Folder, read_folders
from deepfake.recipe import InputRecipe
from preprocessing.types import PreprocessOptions
from tests.crop_folders import make_row, write_folder


class Means:
    """Looks at a face's mean colours, and keeps them."""

    def __init__(self) -> None:
        self.seen: list[list[float]] = []

    def warm_up(self) -> None:
        """Do nothing."""

    def score(self, faces: Faces) -> Scores:
        return np.asarray(faces.mean(axis=(1, 2, 3)), dtype=np.float64)

    def look(self, faces: Faces) -> tuple[Scores, Features | None]:
        means = faces.mean(axis=(2, 3))
        self.seen += means.tolist()
        return self.score(faces), means


def test_faces_of_several_folders_are_read_from_their_own(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_folder(tmp_path / name, [make_row(f"{name}{k}", 0, label=0) for k in range(6)])
    one, two = read_folders([tmp_path / "one", tmp_path / "two"])
    nobody = Folder(tmp_path / "nowhere", one.crops.slice(0, 0), one.empty)
    recipe = InputRecipe(image_size=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    options, calibration = PreprocessOptions(), fit([0, 1] * 20, [0.3, 0.6] * 20)
    scorer = Means()
    checkpoint = Checkpoint(
        recipe, options, calibration, "mean", name="x", scorer=scorer, sha256="c0ffee"
    )
    found = embed("x", checkpoint, [one, nobody, two, nobody])
    assert found.schema == SCHEMA
    assert found["video"].to_pylist() == [f"{name}{k}" for name in ("one", "two") for k in range(6)]
    assert np.isfinite(found["x"].to_numpy()).all()
    assert scorer.seen[:6] == scorer.seen[6:]  # drawn alike in both folders
    assert len({tuple(means) for means in scorer.seen}) == 6
    assert not len(embed("x", checkpoint, [nobody]))
    assert not len(read_embedding(tmp_path / "none.parquet"))

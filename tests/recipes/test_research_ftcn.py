"""FTCN and AltFreezing give the logits of their authors' own classes, by their cards, to 1e-4."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from deepfake.checkpoints.published.load import load_published
from recipes.research import ftcn
from tests.deepfake.checkpoints.published.conftest import fill, image_batch

HERE = Path(__file__).parent


def clip(salt: int, every: int) -> NDArray[np.float32]:
    """Return 32 frames (32, 3, 224, 224) in 0..255 of images that move to the right."""
    images = image_batch(224, salt)
    return np.stack([np.roll(images[t // every % 4], t, axis=2) for t in range(32)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ftcn", "altfreezing"])
def test_published_weights_give_the_published_logits(name: str, tmp_path: Path) -> None:
    reference = json.loads((HERE / f"{name}.json").read_text())
    about = reference["input"]
    state = {
        n: fill(n, s, reference["salt"], reference["gain"]) for n, s in reference["state_dict"]
    }
    torch.save(state, tmp_path / "theirs.pth")
    shutil.copy(Path(ftcn.__file__).with_suffix(".yaml"), tmp_path / "theirs.yaml")
    model = load_published(tmp_path / "theirs.pth")
    assert (model.name, model.frames) == (name, 32)
    assert [*model.recipe.mean, *model.recipe.std] == [*about["mean"], *about["std"]]
    mean, std = (np.reshape(about[k], (3, 1, 1)) for k in ("mean", "std"))
    logits = []
    for number, every in enumerate((1, 8)):
        faces = (clip(reference["salt"] + number, every) / 255 - mean) / std
        with torch.no_grad():
            logits.append(model.network(torch.from_numpy(faces.astype(np.float32))[None]))
    expected = torch.tensor(reference["logits"])
    assert (expected[0] - expected[1]).abs() > 20e-4 * (1 + expected.abs().max())
    torch.testing.assert_close(torch.cat(logits), expected, **reference["tolerance"])
    with pytest.raises(ValueError, match="expected clips"):
        model.network(torch.zeros(1, 16, 3, 224, 224))

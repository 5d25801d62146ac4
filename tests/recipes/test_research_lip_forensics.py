"""LipForensics gives the logits of its authors' own class, by its card, to 1e-4."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from deepfake.checkpoints.published.load import load_published
from recipes.research import lip_forensics
from tests.deepfake.checkpoints.published.conftest import fill, image_batch

REFERENCE = Path(__file__).with_name("lip_forensics.json")


def test_published_weights_give_the_published_logits(tmp_path: Path) -> None:
    reference = json.loads(REFERENCE.read_text())
    salt, about = reference["salt"], reference["input"]
    state = {n: fill(n, s, salt, reference["gain"]) for n, s in reference["state_dict"]}
    torch.save({"model": state}, tmp_path / "theirs.pth")
    card = Path(lip_forensics.__file__).with_suffix(".yaml")
    shutil.copy(card, tmp_path / "theirs.yaml")
    model = load_published(tmp_path / "theirs.pth")
    assert model.name == "lip_forensics"
    assert model.frames == about["frames"] == 25
    assert (model.recipe.mean[0], model.recipe.std[0]) == (about["mean"][0], about["std"][0])
    clips = []
    for clip in range(2):
        grey = image_batch(about["size"], salt + clip)[:, 0]
        clips.append(np.stack([np.roll(grey[t % 4], t, axis=1) for t in range(25)]))
    mouths = (np.stack(clips) / 255 - about["mean"][0]) / about["std"][0]
    faces = torch.from_numpy(mouths.astype(np.float32))[:, :, None].expand(-1, -1, 3, -1, -1)
    with torch.no_grad():
        logits = model.network(faces)
    expected = torch.tensor(reference["logits"])[:, 0]
    assert (expected[0] - expected[1]).abs() > 0.1
    torch.testing.assert_close(logits, expected, **reference["tolerance"])
    with pytest.raises(ValueError, match="expected clips"):
        model.network(faces[..., :80])

"""LAA-Net gives the logits and the map of its authors' own class, by its card, to 1e-4."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from deepfake.checkpoints.published.load import load_published
from recipes.research import laa_net
from tests.deepfake.checkpoints.published.conftest import fill, image_batch, normalised
from tests.deepfake.checkpoints.published.test_published_cards import expanded

REFERENCE = Path(__file__).with_name("laa_net.json")


@pytest.mark.slow
def test_published_weights_give_the_published_logits(tmp_path: Path) -> None:
    reference = json.loads(REFERENCE.read_text())
    salt, about = reference["salt"], reference["input"]
    state = {n: fill(n, s, salt, reference["gain"]) for n, s in expanded(reference["state_dict"])}
    torch.save({"epoch": 1, "state_dict": state}, tmp_path / "theirs.pth")
    shutil.copy(Path(laa_net.__file__).with_suffix(".yaml"), tmp_path / "theirs.yaml")
    model = load_published(tmp_path / "theirs.pth")
    assert model.name == "laa_net"
    assert model.recipe.image_size == about["size"] == 384
    assert [*model.recipe.mean, *model.recipe.std] == [*about["mean"], *about["std"]]
    faces = normalised(image_batch(384, salt), model.recipe.mean, model.recipe.std)
    assert isinstance(model.network, laa_net.LAANet)
    with torch.no_grad():
        logits, places = model.network.localise(faces)
        torch.testing.assert_close(model.network(faces[:1]), logits[:1])
    expected = torch.tensor(reference["logits"])
    assert expected.max() - expected.min() > 20e-4 * (1 + expected.abs().max())
    torch.testing.assert_close(logits, expected, **reference["tolerance"])
    assert places.shape == (4, 96, 96)
    some = torch.tensor(reference["places"])
    torch.testing.assert_close(places[:, 7::16, 7::16].flatten(1), some, **reference["tolerance"])
    assert some.std() > 100 * reference["tolerance"]["atol"]

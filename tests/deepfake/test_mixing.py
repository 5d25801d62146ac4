import pytest
import torch

from deepfake.mixing import CutMix, Mixing, Mixup
from deepfake.types import FaceBatch


def batch(*shape: int) -> FaceBatch:
    """Face i is i everywhere; labels alternate."""
    count = shape[0]
    numbers = torch.arange(count)
    face = numbers.float().reshape(count, *([1] * (len(shape) - 1))).expand(shape).clone()
    label = (numbers % 2).float()
    return {"face": face, "label": label, "video": numbers, "track": numbers, "index": numbers}


@pytest.mark.parametrize("mixing", [Mixup(1.0), CutMix(1.0)], ids=["mixup", "cutmix"])
@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (2, 4, 3, 16, 16)], ids=["faces", "clips"])
def test_labels_are_mixed_as_the_pixels_are(mixing: Mixing, shape: tuple[int, ...]) -> None:
    for seed in range(20):
        torch.manual_seed(seed)
        given = batch(*shape)
        mixed = mixing(given)
        share_of_1 = mixed["face"].flatten(1).mean(dim=1)  # face 0 is black, face 1 is white
        torch.testing.assert_close(mixed["label"], share_of_1, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(given["face"], batch(*shape)["face"])
        assert torch.equal(mixed["video"], given["video"])


def test_cutmix_replaces_a_rectangle() -> None:
    torch.manual_seed(3)
    mixed = CutMix()(batch(2, 3, 20, 30))
    other = mixed["face"][0, 0] == 1
    rows, columns = other.any(dim=1).sum(), other.any(dim=0).sum()
    assert float(other.sum()) == float(rows * columns) > 0
    assert float(mixed["label"][0]) == pytest.approx(float(rows * columns) / 600)


def test_alpha_is_positive() -> None:
    with pytest.raises(ValueError, match="alpha"):
        Mixup(0.0)

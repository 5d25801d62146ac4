from types import ModuleType

import pytest
import torch
from torch import Tensor

from deepfake.models.attention_efficientnet import EfficientNetAutoAttB4
from deepfake.models.cvit import CViT
from deepfake.models.efficientnet import EfficientNet
from deepfake.models.frame_transformer import FrameTransformer
from deepfake.models.mesonet import InceptionLayer, Meso4


def faces(size: int, *, batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(size)
    return torch.randn((batch, 3, size, size), generator=generator)


def test_nominal_padding_differs_only_away_from_the_nominal_size(contract: ModuleType) -> None:
    nominal = EfficientNet("efficientnet-b2", padding="nominal")
    contract.settle(nominal, faces(64, batch=4))
    nominal.eval()
    same = EfficientNet("efficientnet-b2", padding="input").eval()
    same.load_state_dict(nominal.state_dict())
    with torch.no_grad():
        at_260, at_64 = faces(260, batch=1), faces(64, batch=1)
        torch.testing.assert_close(nominal(at_260), same(at_260))
        assert not torch.allclose(nominal(at_64), same(at_64), rtol=1e-2)


def test_a_stem_without_padding_is_one_place_smaller() -> None:
    padded = EfficientNet("efficientnet-b0")
    bare = EfficientNet("efficientnet-b0", stem_padding=False)
    assert padded.stem(faces(256)).shape[2:] == (128, 128)
    assert bare.stem(faces(256)).shape[2:] == (127, 127)


def test_attention_weighs_the_map() -> None:
    network = EfficientNetAutoAttB4().eval()
    plain = EfficientNet("efficientnet-b4").eval()
    shared = {k: v for k, v in network.state_dict().items() if not k.startswith("attention")}
    plain.load_state_dict(shared)
    torch.nn.init.zeros_(network.get_parameter("attention.weight"))
    # sigmoid(50) is 1 in float32: attention does nothing
    torch.nn.init.constant_(network.get_parameter("attention.bias"), 50.0)
    with torch.no_grad():
        torch.testing.assert_close(network(faces(64)), plain(faces(64)))


def test_inception_branches_see_as_far_as_their_dilation() -> None:
    layer = InceptionLayer(1, (1, 1, 1, 1))
    for parameter in layer.parameters():
        torch.nn.init.constant_(parameter, 1.0 if parameter.ndim == 4 else 0.0)
    point = torch.zeros(1, 1, 15, 15)
    point[0, 0, 7, 7] = 1.0
    reached = [sorted({abs(int(y) - 7) for y, _ in m.nonzero()}) for m in layer(point)[0]]
    assert reached == [[0], [0, 1], [0, 2], [0, 3]]


def test_sizes_that_do_not_fit_name_one_that_does() -> None:
    with pytest.raises(ValueError, match="multiple of 32, got 250; try 256"):
        Meso4(250)
    with pytest.raises(ValueError, match=r"multiple of 224 .* got 256; try 224"):
        CViT(256)


def test_smaller_patches_of_cvit_give_more_tokens() -> None:
    sizes = {"channels": (4, 4, 4, 4, 8), "dim": 16, "depth": 1, "heads": 2, "mlp_dim": 16}
    assert CViT(224, 1, **sizes).tokens(faces(224)).shape == (2, 50, 16)  # type: ignore[arg-type]
    one = CViT(224, 7, **sizes).eval()  # type: ignore[arg-type]
    (weights,) = one.attention_maps(faces(224))
    assert weights.shape == (2, 2, 2, 2)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 2))


@pytest.fixture
def temporal() -> FrameTransformer:
    torch.manual_seed(0)
    network = FrameTransformer(Meso4(64), frames=4, dim=32, depth=2, heads=2)
    torch.nn.init.normal_(network.position)
    return network.eval()


def clip(frames: int = 4) -> Tensor:
    return torch.randn((2, frames, 3, 64, 64), generator=torch.Generator().manual_seed(1))


def test_the_order_of_frames_counts(temporal: FrameTransformer) -> None:
    forward, backward = clip(), clip().flip(1)
    assert not torch.allclose(temporal(forward), temporal(backward), atol=1e-4)
    torch.nn.init.zeros_(temporal.position)
    torch.testing.assert_close(temporal(forward), temporal(backward))


def test_padding_frames_do_not_count(temporal: FrameTransformer) -> None:
    faces, padding = clip(), torch.zeros(2, 4, dtype=torch.bool)
    torch.testing.assert_close(temporal(faces, padding), temporal(faces))
    padding[:, 2:] = True
    expected = temporal(faces[:, :2])
    torch.testing.assert_close(temporal(faces, padding), expected)
    other = faces.clone()
    other[:, 2:] = 9.0
    torch.testing.assert_close(temporal(other, padding), expected)


def test_longer_clips_than_positions_are_refused(temporal: FrameTransformer) -> None:
    with pytest.raises(ValueError, match=r"at most 4 frames, got \(2, 5, 3, 64, 64\)"):
        temporal(clip(5))
    with pytest.raises(ValueError, match="at least 1, got 0"):
        FrameTransformer(Meso4(64), frames=0)


def test_attention_of_frames_can_be_asked_for(temporal: FrameTransformer) -> None:
    maps = temporal.attention_maps(clip())
    assert [tuple(weights.shape) for weights in maps] == [(2, 2, 5, 5)] * 2

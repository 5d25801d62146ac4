import pytest
import torch
from torch import Tensor, nn

from deepfake.models.timm_classifier import TimmClassifier, Trained


@pytest.fixture
def faces() -> Tensor:
    return torch.randn((2, 3, 64, 64), generator=torch.Generator().manual_seed(0))


def learning(network: nn.Module) -> list[str]:
    """Return the names of the backbone's parameters that learn."""
    return [
        name.removeprefix("backbone.")
        for name, parameter in network.named_parameters()
        if parameter.requires_grad and name.startswith("backbone.")
    ]


def test_only_layer_normalisation_of_clip_learns() -> None:
    """GenD: 0.03 % of the parameters of CLIP's ViT-L/14."""
    with torch.device("meta"):
        network = TimmClassifier(
            "vit_large_patch14_clip_224.openai", train="norm", unit_features=True
        )
    norms = learning(network)
    assert all("norm" in name for name in norms)
    assert len(norms) == 2 * (2 * 24 + 2)  # weight and bias; two a block, before and after them
    total = sum(parameter.numel() for parameter in network.backbone.parameters())
    learned = sum(network.get_parameter(f"backbone.{name}").numel() for name in norms)
    assert round(100 * learned / total, 2) == 0.03


@pytest.mark.parametrize("name", ["test_vit", "test_efficientnet"])
def test_all_or_only_the_head_learns(name: str) -> None:
    everything = TimmClassifier(name)
    assert len(learning(everything)) == len(list(everything.backbone.parameters()))
    head = TimmClassifier(name, train="head")
    assert learning(head) == []
    assert all(parameter.requires_grad for parameter in head.head.parameters())


def test_the_last_blocks_learn_with_what_follows_them() -> None:
    network = TimmClassifier("test_vit", train="last", last_blocks=2)
    assert {
        name.rsplit(".", 1)[0].split(".attn")[0].split(".mlp")[0] for name in learning(network)
    } == {
        *(f"blocks.{block}" for block in (4, 5)),
        *(f"blocks.{block}.norm{number}" for block in (4, 5) for number in (1, 2)),
        "norm",
    }
    xception = TimmClassifier("legacy_xception", train="last", last_blocks=2)
    assert {name.split(".")[0] for name in learning(xception)} >= {"conv4", "bn4"}
    assert not any(name.startswith(("conv1", "block1.")) for name in learning(xception))


def test_adapters_learn_and_change_nothing_at_first(faces: Tensor) -> None:
    torch.manual_seed(0)
    plain = TimmClassifier("test_vit", image_size=64).eval()
    torch.manual_seed(0)
    adapted = TimmClassifier("test_vit", image_size=64, train="adapters", adapter_rank=2).eval()
    adapted.head.load_state_dict(plain.head.state_dict())
    torch.testing.assert_close(adapted(faces), plain(faces))
    names = learning(adapted)
    assert names
    assert all("attn" in name and "lora" in name for name in names)
    assert {adapted.get_parameter(f"backbone.{n}").shape[0] for n in names if "lora_A" in n} == {2}


def test_adapters_of_a_network_without_attention_go_to_its_1x1_convolutions() -> None:
    network = TimmClassifier("test_resnet", train="adapters")
    assert learning(network)
    assert all("lora" in name for name in learning(network))


@pytest.mark.parametrize(("train", "moves"), [("head", False), ("norm", True), ("all", True)])
def test_frozen_batch_normalisation_keeps_its_statistics(
    train: Trained, moves: bool, faces: Tensor
) -> None:
    network = TimmClassifier("test_efficientnet", train=train).train()
    before = network.get_buffer("backbone.bn1.running_mean").clone()
    network(faces)
    assert torch.equal(network.get_buffer("backbone.bn1.running_mean"), before) != moves


def test_features_have_length_one_where_asked(faces: Tensor) -> None:
    network = TimmClassifier("test_efficientnet", unit_features=True).eval()
    features = network.forward_features(faces)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(network(faces), network.head(features).squeeze(1))


def test_the_head_starts_near_zero() -> None:
    torch.manual_seed(0)
    head = TimmClassifier("resnet50").get_submodule("head.1")
    assert isinstance(head, nn.Linear)
    assert head.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert head.bias.tolist() == [0.0]


def test_other_sizes_and_wrong_arguments() -> None:
    network = TimmClassifier("test_vit", image_size=96)
    assert network.get_parameter("backbone.pos_embed").shape[1] == (96 // 16) ** 2 + 1
    with pytest.raises(ValueError, match=r"no network 'xception99'\. Did you mean xception"):
        TimmClassifier("xception99")
    with pytest.raises(ValueError, match="last_blocks must be at least 1, got 0"):
        TimmClassifier("test_vit", last_blocks=0)

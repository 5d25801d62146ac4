"""Published baselines give the published logits, and bring the published recipe."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepfake.aggregation import by_name
from deepfake.checkpoints.published.base import PublishedModel
from deepfake.checkpoints.published.card import Card, known_cards
from deepfake.checkpoints.published.convert import fake_minus_real
from deepfake.checkpoints.published.load import load_published
from deepfake.errors import CheckpointError
from deepfake.recipe import IMAGENET_MEAN, InputRecipe

State = dict[str, Tensor]


class Published(Protocol):
    def state(self, prefix: str = "") -> State: ...
    def images(self) -> NDArray[np.float32]: ...
    def check(self, logits: Tensor, key: str = "logits") -> None: ...


Read = Callable[[str], Published]

# As in the reference: size, resize, mean; margin on each side and shape of the crop; video rule.
RECIPES = {
    "selimsef_b7": (380, "pad_centred", IMAGENET_MEAN, 1 / 3, "box", "selimsef_confident"),
    "deepware_b7": (380, "squash", IMAGENET_MEAN, 0.325, "square", "deepware_identity"),
    "sbi_efficientnet_b4": (380, "squash", (0, 0, 0), 1 / 8, "box", "sbi_frame_max_mean"),
    "deepfakebench_efficientnet_b4": (256, "squash", (0.5,) * 3, 0.15, "aligned", "mean"),
    "deepfakebench_xception": (256, "squash", (0.5,) * 3, 0.15, "aligned", "mean"),
    "polimi_efficientnet_b4": (224, "squash", IMAGENET_MEAN, 0.2, "square", "mean_logit"),
    "polimi_efficientnet_autoatt_b4": (224, "squash", IMAGENET_MEAN, 0.2, "square", "mean_logit"),
    "cvit": (224, "squash", IMAGENET_MEAN, 0.05, "box", "mean"),
    "cvit2": (224, "squash", IMAGENET_MEAN, 0.05, "box", "mean"),
}


def scored(model: PublishedModel, images: NDArray[np.float32]) -> Tensor:
    """Return the logits of images (B, 3, S, S) in 0..255, normalised by the model's recipe."""
    recipe = model.recipe
    mean, std = torch.tensor(recipe.mean)[:, None, None], torch.tensor(recipe.std)[:, None, None]
    with torch.no_grad():
        logits: Tensor = model.network((torch.from_numpy(images / 255).float() - mean) / std)
    return logits


def keeps_recipe(model: PublishedModel) -> None:
    recipe, preprocess = model.recipe, model.preprocess
    found = (
        *(recipe.image_size, recipe.resize, recipe.mean),
        *(preprocess.margin, preprocess.crop, model.aggregation),
    )
    assert found == RECIPES[model.name]
    assert recipe.colour == "RGB"
    assert by_name(model.aggregation) is not None
    assert not model.network.training


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("sbi_efficientnet_b4", "logits"),
        ("deepfakebench_efficientnet_b4", "logits"),
        ("deepfakebench_xception", "logits"),
        ("polimi_efficientnet_b4", "logits_size_aware_padding"),
        ("polimi_efficientnet_autoatt_b4", "logits_size_aware_padding"),
        pytest.param("cvit", "logits_each_alone", marks=pytest.mark.slow),
        pytest.param("cvit2", "logits", marks=pytest.mark.slow),
    ],
)
def test_logits_are_the_published_ones(name: str, key: str, reference: Read) -> None:
    published = reference(name)
    model = load_published(published.state())
    assert model.name == name
    published.check(scored(model, published.images()), key)
    keeps_recipe(model)


@pytest.mark.slow
def test_the_challenge_winner_and_deepware_share_the_network(reference: Read) -> None:
    published = reference("selimsef_b7")
    state = published.state()
    file: Any = {"epoch": 1, "state_dict": {f"module.{k}": state[k] for k in state}}
    winner = load_published(file)
    assert winner.name == "selimsef_b7"
    published.check(scored(winner, published.images()))
    keeps_recipe(winner)
    assert winner.preprocess.thresholds == (0.7, 0.8, 0.8)

    scanner = load_published(state)
    assert (scanner.name, scanner.recipe.values) == ("deepware_b7", "stretch")
    keeps_recipe(scanner)
    for ours, theirs in zip(scanner.network.parameters(), winner.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", ["polimi_efficientnet_b4", "polimi_efficientnet_autoatt_b4"])
def test_nominal_padding_is_that_of_the_newer_backbone(name: str, reference: Read) -> None:
    published = reference(name)
    (card,) = [card for card in known_cards() if card.name == name]
    arguments = {**card.network["init_args"], "padding": "nominal"}  # as a user's card may have it
    newer: Card = replace(card, network={**card.network, "init_args": arguments})
    model = newer.load(published.state())
    published.check(scored(model, published.images()))


def test_unused_and_dropout_variants_of_xception_load(reference: Read) -> None:
    published = reference("deepfakebench_xception")
    state = {
        name.replace("last_linear.", "last_linear.1."): tensor
        for name, tensor in published.state("module.").items()
        if "adjust_channel" not in name
    }
    published.check(scored(load_published(state), published.images()))
    state["module.backbone.adjust_channel.7.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match=r"1 unknown .*adjust_channel\.7"):
        load_published(state)


def test_fake_minus_real_is_the_difference_of_the_rows() -> None:
    weight = torch.tensor([[1.0, 2.0], [5.0, 3.0]])
    assert fake_minus_real(weight, fake=1).tolist() == [[4.0, 1.0]]
    assert fake_minus_real(weight[:, 0], fake=0).tolist() == [-4.0]


def test_similar_networks_are_told_apart_by_prefix_and_head() -> None:
    def state(*names: str, rows: int = 1) -> State:
        return {name: torch.zeros(rows, 4) for name in names}

    b7 = state("encoder.conv_stem.weight", "fc.weight")
    winner = {f"module.{name}": tensor for name, tensor in b7.items()}
    sbi = state("net._conv_stem.weight", "net._fc.bias", rows=2)
    candidates = {
        "deepware_b7": b7,
        "selimsef_b7": winner,
        "sbi_efficientnet_b4": sbi | {"net._fc.weight": torch.zeros(2, 1792)},
        "deepfakebench_efficientnet_b4": state("backbone.efficientnet._conv_stem.weight"),
        "polimi_efficientnet_b4": state("efficientnet._conv_stem.weight", "classifier.weight"),
    }
    families = {card.name: card.matches for card in known_cards()}
    for name, tensors in candidates.items():
        assert [family for family, matches in families.items() if matches(tensors)] == [name]


def test_a_missing_tensor_is_named(reference: Read, tmp_path: Path) -> None:
    auto_att = reference("polimi_efficientnet_autoatt_b4").state()
    file = tmp_path / "EfficientNetAutoAttB4_FFPP.pth"
    torch.save({"net": {k: v for k, v in auto_att.items() if k != "classifier.bias"}}, file)
    with pytest.raises(CheckpointError, match=r"polimi_efficientnet_autoatt_b4.*1 missing \(head"):
        load_published(file)


def test_area_cubic_is_cubic_only_where_it_enlarges() -> None:
    image = torch.randint(0, 256, (40, 40, 3), generator=torch.Generator().manual_seed(0))
    crop = image.to(torch.uint8).numpy()
    expected: dict[int, Literal["area", "cubic"]] = {20: "area", 80: "cubic"}
    for size, interpolation in expected.items():
        recipe = InputRecipe(image_size=size, interpolation="area_cubic")
        same = InputRecipe(image_size=size, interpolation=interpolation)
        assert (recipe.prepare(crop) == same.prepare(crop)).all()

"""Published hybrids give the published logits."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepfake.aggregation import by_name
from deepfake.checkpoints.published.base import PublishedModel
from deepfake.checkpoints.published.card import known_cards
from deepfake.checkpoints.published.load import load_published, published_crops
from deepfake.errors import CheckpointError
from deepfake.models.convit import GatedPositionalAttention

State = dict[str, Tensor]
Make = Callable[[Iterable[tuple[str, Iterable[int]]], int, float], State]
MakeFaces = Callable[[int, int, tuple[float, ...], tuple[float, ...]], Tensor]
BYTES = ((0.0,) * 3, (1 / 255,) * 3)  # values stay in 0..255
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5,) * 3, (0.25,) * 3)


class Published(Protocol):
    contents: dict[str, object]

    def state(self, prefix: str = "") -> State: ...
    def images(self) -> NDArray[np.float32]: ...
    def check(self, logits: Tensor, key: str = "logits") -> None: ...


Read = Callable[[str], Published]


def scored(model: PublishedModel, faces: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model.network(faces)
    return logits


def normalise(images: NDArray[np.float32], normalisation: tuple[tuple[float, ...], ...]) -> Tensor:
    mean, std = (torch.tensor(values)[:, None, None] for values in normalisation)
    return (torch.from_numpy(images / 255).float() - mean) / std


@pytest.mark.parametrize(
    ("name", "normalisation", "key"),
    [
        ("efficient_vit", BYTES, "logits_each_alone"),
        ("cross_efficient_vit", BYTES, "logits"),
        ("convit_tiny", IMAGENET, "logits"),
        ("cmt_ti", HALF, "logits"),
        ("cmt_xs", HALF, "logits"),
        ("cmt_s", HALF, "logits"),
    ],
)
def test_hybrid_gives_the_published_logits(
    name: str, normalisation: tuple[tuple[float, ...], ...], key: str, reference: Read
) -> None:
    published = reference(name)
    model = load_published(published.state())
    assert model.name == name
    assert sum(p.numel() for p in model.network.parameters()) == published.contents["parameters"]
    assert not model.network.training
    published.check(scored(model, normalise(published.images(), normalisation)), key)


def test_genconvit_gives_the_published_logits_without_what_never_runs(reference: Read) -> None:
    published = reference("genconvit_ed")
    model = load_published(published.state())
    assert model.name == "genconvit_ed"
    logits = scored(model, normalise(published.images(), IMAGENET))
    published.check(logits)
    with pytest.raises(AssertionError):
        published.check(-logits)  # the other column


def test_gated_attention_agrees_with_the_published_layer(reference: Read, made: Make) -> None:
    vectors = reference("gpsa").contents["vectors"]
    assert isinstance(vectors, dict)
    for name, local in (("filled", False), ("locality_init", True)):
        output = gated_attention(made, local=local)
        expected = vectors[name]
        np.testing.assert_allclose(output.abs().sum(), expected["sum_abs"], rtol=1e-5)
        np.testing.assert_allclose(output.square().sum(), expected["sum_squares"], rtol=1e-5)
        for token, values in expected["tokens"].items():
            np.testing.assert_allclose(output[0, int(token), :8], values, rtol=1e-4, atol=1e-5)


def gated_attention(made: Make, *, local: bool) -> Tensor:
    """Return the output (1, 196, 192) of a layer filled with made weights."""
    shapes = {"gating_param": (4,), "qk.weight": (384, 192), "v.weight": (192, 192)}
    shapes |= {"proj.weight": (192, 192), "proj.bias": (192,)}
    shapes |= {"pos_proj.weight": (4, 3), "pos_proj.bias": (4,)}
    state = made(shapes.items(), 1, 1.0)
    layer = GatedPositionalAttention(192, 4, grid=14)
    names = {"gating_param": "gate", "qk.weight": "query_key.weight", "v.weight": "value.weight"}
    names |= {"proj.weight": "project.weight", "proj.bias": "project.bias"}
    names |= {"pos_proj.weight": "position.weight", "pos_proj.bias": "position.bias"}
    layer.load_state_dict({ours: state[theirs] for theirs, ours in names.items()})
    if local:
        layer.begin_as_convolution(locality_strength=1.0)
    tokens = np.random.default_rng([11, 1]).standard_normal((1, 196, 192)).astype(np.float32)
    with torch.no_grad():
        output: Tensor = layer(torch.from_numpy(tokens))
    return output


def test_heads_of_gated_attention_begin_on_a_square_of_offsets() -> None:
    layer = GatedPositionalAttention(192, 4, grid=14)
    expected = [[-1, -1, -1], [-1, 1, -1], [1, -1, -1], [1, 1, -1]]
    assert layer.position.weight.tolist() == expected


def test_efficient_vit_brings_its_recipe_and_names_what_is_wrong(reference: Read) -> None:
    shapes: Any = reference("efficient_vit").contents["state_dict"]
    with torch.device("meta"):
        state = {name: torch.empty(shape) for name, shape in shapes}
    (card,) = [card for card in known_cards() if card.name == "efficient_vit"]
    assert card.matches(state)
    assert (card.recipe["colour"], card.recipe["values"]) == ("BGR", "byte")
    assert published_crops("efficient_vit").thresholds == (0.85, 0.95, 0.95)
    with pytest.raises(CheckpointError, match=r"1 missing \(head\.2\.bias\)"):
        load_published({name: t for name, t in state.items() if name != "mlp_head.2.bias"})
    with pytest.raises(CheckpointError, match=r"1 unknown \(surprise\)"):
        load_published(state | {"surprise": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"published size: embed\.weight"):
        load_published(state | {"patch_to_embedding.weight": torch.zeros(1024, 1280)})


def test_published_rule_for_videos_exists() -> None:
    assert by_name("coccomini_identity_round") is not None


def test_a_saved_file_loads_from_disk(
    tmp_path: Path, reference: Read, made_faces: MakeFaces
) -> None:
    state = reference("convit_tiny").state()
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "c.pth"
    )
    faces = made_faces(224, 1, *IMAGENET)[:1]
    expected = scored(load_published(state), faces)
    torch.testing.assert_close(scored(load_published(tmp_path / "c.pth"), faces), expected)

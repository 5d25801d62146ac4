"""Published hybrids give the published logits, with and without the folder of references."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
import torch
from efficientnet_pytorch import EfficientNet
from numpy.typing import NDArray
from torch import Tensor

from deepfake.aggregation import by_name
from deepfake.checkpoints.published import efficient_vit
from deepfake.checkpoints.published.base import PublishedModel
from deepfake.checkpoints.published.load import load_published
from deepfake.errors import CheckpointError
from deepfake.models.convit import GatedPositionalAttention

State = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]
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


@pytest.mark.realdata
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


@pytest.mark.realdata
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


@pytest.mark.parametrize(
    ("local", "first"),
    [
        (False, [-0.355342, -0.38132, -0.276777, -0.103568, 0.137333]),
        (True, [-0.761234, -0.166743, -0.122959, 0.536543, -0.576074]),
    ],
)
def test_gated_attention_has_known_first_values(
    local: bool, first: list[float], made: Make
) -> None:
    output = gated_attention(made, local=local)[0, 0, :5]
    torch.testing.assert_close(output, torch.tensor(first), rtol=1e-4, atol=1e-5)


def test_heads_of_gated_attention_begin_on_a_square_of_offsets() -> None:
    layer = GatedPositionalAttention(192, 4, grid=14)
    expected = [[-1, -1, -1], [-1, 1, -1], [1, -1, -1], [1, 1, -1]]
    assert layer.position.weight.tolist() == expected


def b0_shapes(prefix: str) -> Shapes:
    state = EfficientNet.from_name("efficientnet-b0").state_dict()
    return {prefix + name: tuple(tensor.shape) for name, tensor in state.items()}


def linear(name: str, inner: int, outer: int, *, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (outer, inner)} | ({f"{name}.bias": (outer,)} if bias else {})


def norm(name: str, dim: int) -> Shapes:
    return {f"{name}.weight": (dim,), f"{name}.bias": (dim,)}


def efficient_vit_shapes() -> Shapes:
    shapes: Shapes = {"pos_embedding": (32, 1, 1024), "cls_token": (1, 1, 1024)}
    shapes |= b0_shapes("efficient_net.") | linear("patch_to_embedding", 62720, 1024)
    for layer in range(6):
        block = f"transformer.layers.{layer}"
        shapes |= norm(f"{block}.0.norm", 1024)
        shapes |= linear(f"{block}.0.fn.to_qkv", 1024, 1536, bias=False)
        shapes |= linear(f"{block}.0.fn.to_out.0", 512, 1024)
        shapes |= norm(f"{block}.1.norm", 1024)
        shapes |= linear(f"{block}.1.fn.net.0", 1024, 2048)
        shapes |= linear(f"{block}.1.fn.net.3", 2048, 1024)
    return shapes | linear("mlp_head.0", 1024, 2048) | linear("mlp_head.2", 2048, 1)


def cross_attention_shapes(name: str, dim: int) -> Shapes:
    shapes = linear(f"{name}.to_q", dim, 512, bias=False)
    shapes |= linear(f"{name}.to_kv", dim, 1024, bias=False)
    return shapes | linear(f"{name}.to_out.0", 512, dim)


def cross_efficient_vit_shapes() -> Shapes:
    shapes: Shapes = {}
    branches = {"sm": (192, 1025, 62720, 2), "lg": (384, 17, 75264, 3)}
    for branch, (dim, rows, width, _) in branches.items():
        embedder = f"{branch}_image_embedder"
        shapes |= {f"{embedder}.pos_embedding": (1, rows, dim)}
        shapes |= {f"{embedder}.cls_token": (1, 1, dim)}
        shapes |= b0_shapes(f"{embedder}.efficient_net.")
        shapes |= linear(f"{embedder}.to_patch_embedding.1", width, dim)
        shapes |= norm(f"{branch}_mlp_head.0", dim) | linear(f"{branch}_mlp_head.1", dim, 1)
    for layer in range(4):
        encoder = f"multi_scale_encoder.layers.{layer}"
        for number, (dim, _, _, depth) in enumerate(branches.values()):
            shapes |= norm(f"{encoder}.{number}.norm", dim)
            for block in (f"{encoder}.{number}.layers.{index}" for index in range(depth)):
                shapes |= norm(f"{block}.0.norm", dim) | norm(f"{block}.1.norm", dim)
                shapes |= cross_attention_shapes(f"{block}.0.fn", dim)
                shapes |= linear(f"{block}.1.fn.net.0", dim, 2048)
                shapes |= linear(f"{block}.1.fn.net.3", 2048, dim)
        for index, number, dim, other in ((i, n, *d) for i in (0, 1) for n, d in CROSSINGS):
            cross = f"{encoder}.2.layers.{index}.{number}"
            shapes |= norm(f"{cross}.fn.norm", other)
            shapes |= cross_attention_shapes(f"{cross}.fn.fn", other)
            shapes |= linear(f"{cross}.project_in", dim, other)
            shapes |= linear(f"{cross}.project_out", other, dim)
    return shapes


CROSSINGS = ((0, (192, 384)), (1, (384, 192)))


def convit_tiny_shapes() -> Shapes:
    shapes: Shapes = {"cls_token": (1, 1, 192), "pos_embed": (1, 196, 192)}
    shapes |= {"patch_embed.proj.weight": (192, 3, 16, 16), "patch_embed.proj.bias": (192,)}
    for block in (f"blocks.{number}" for number in range(12)):
        shapes |= norm(f"{block}.norm1", 192) | norm(f"{block}.norm2", 192)
        shapes |= linear(f"{block}.attn.proj", 192, 192)
        shapes |= linear(f"{block}.mlp.fc1", 192, 768) | linear(f"{block}.mlp.fc2", 768, 192)
        if block in ("blocks.10", "blocks.11"):
            shapes |= linear(f"{block}.attn.qkv", 192, 576, bias=False)
        else:
            shapes |= linear(f"{block}.attn.qk", 192, 384, bias=False)
            shapes |= linear(f"{block}.attn.v", 192, 192, bias=False)
            shapes |= linear(f"{block}.attn.pos_proj", 3, 4) | {f"{block}.attn.gating_param": (4,)}
    return shapes | norm("norm", 192) | linear("head", 192, 1)


# The first logits of the reference, so that a checkout alone can check.
@pytest.mark.parametrize(
    ("shapes", "normalisation", "expected"),
    [
        (efficient_vit_shapes, BYTES, [1.2722946, 1.2857338, 1.2777580, 1.2709444]),
        (cross_efficient_vit_shapes, BYTES, [-1.5341209, -1.7595706, -0.9782469, -1.6512358]),
        (convit_tiny_shapes, IMAGENET, [1.4762987, 1.7607595, 1.8800229, 1.2217226]),
    ],
)
def test_hybrid_gives_known_logits(
    shapes: Callable[[], Shapes],
    normalisation: tuple[tuple[float, ...], tuple[float, ...]],
    expected: list[float],
    made: Make,
    made_faces: MakeFaces,
) -> None:
    model = load_published(made(shapes().items(), 1, 1.0))
    logits = scored(model, made_faces(224, 1, *normalisation))
    torch.testing.assert_close(logits, torch.tensor(expected), rtol=1e-4, atol=1e-4)


def test_efficient_vit_brings_its_recipe_and_names_what_is_wrong() -> None:
    with torch.device("meta"):
        state = {name: torch.empty(shape) for name, shape in efficient_vit_shapes().items()}
    assert efficient_vit.matches(state)
    recipe = efficient_vit.RECIPE
    assert (recipe.colour, recipe.values, recipe.image_size) == ("BGR", "byte", 224)
    assert efficient_vit.PREPROCESS.thresholds == (0.85, 0.95, 0.95)
    with pytest.raises(CheckpointError, match=r"1 missing \(head\.2\.bias\)"):
        load_published({name: t for name, t in state.items() if name != "mlp_head.2.bias"})
    with pytest.raises(CheckpointError, match=r"1 unknown \(surprise\)"):
        load_published(state | {"surprise": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"published size: embed\.weight"):
        load_published(state | {"patch_to_embedding.weight": torch.zeros(1024, 1280)})


def test_published_rule_for_videos_exists() -> None:
    assert by_name("coccomini_identity_round") is not None


def test_a_saved_file_loads_from_disk(tmp_path: Path, made: Make, made_faces: MakeFaces) -> None:
    state = made(convit_tiny_shapes().items(), 1, 1.0)
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "c.pth"
    )
    faces = made_faces(224, 1, *IMAGENET)[:1]
    expected = scored(load_published(state), faces)
    torch.testing.assert_close(scored(load_published(tmp_path / "c.pth"), faces), expected)

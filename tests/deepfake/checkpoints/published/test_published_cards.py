"""Families described by cards give the logits of their authors' own classes, to 1e-4."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from deepfake.checkpoints import load
from deepfake.checkpoints.published.card import known_cards
from deepfake.checkpoints.published.load import load_published
from deepfake.errors import CheckpointError
from deepfake.models.timm_classifier import TimmClassifier

Made = Callable[[Iterable[tuple[str, Iterable[int]]], int, float], dict[str, Tensor]]
Faces = Callable[..., Tensor]

REFERENCE = Path(__file__).parent / "reference"
# Reference -> name of what is recognised; the large ones take tens of seconds each.
QUICK = {
    "caddm_resnet34": "caddm_resnet34",
    "deepfakebench_core": "deepfakebench_xception",
    "deepfakebench_spsl": "deepfakebench_spsl",
    "deepfakebench_f3net": "deepfakebench_f3net",
    "deepfakebench_ucf": "deepfakebench_ucf",
    "deepfakebench_resnet34": "deepfakebench_resnet34",
    "deepfakebench_meso4": "deepfakebench_meso4",
    "deepfakebench_meso4inception": "deepfakebench_mesoinception4",
    "deepguard_ms_eff_vit_b0": "deepguard_ms_eff_vit_b0",
    "fsfm_vit_small": "fsfm_vit_s16",
}
SLOW = {
    "caddm_efficientnet_b3": "caddm_efficientnet_b3",
    "caddm_efficientnet_b4": "caddm_efficientnet_b4",
    "deepfakebench_clip_b16": "deepfakebench_clip_b16",
    "deepguard_ms_eff_vit_b5": "deepguard_ms_eff_vit_b5",
    "effort": "effort",
    "fsfm_vit_base": "fsfm_vit_b16",
    "fsfm_vit_large": "fsfm_vit_l16",
    "fsvfm_adapter_large": "fsvfm_adapter_l16",
    "gend_clip_l14": "gend_clip_l14",
    "gend_dinov3_l16": "gend_dinov3_l16",
    "gend_pe_l14": "gend_pe_l14",
    "tall_swin_b": "tall_swin_b",
    "yermandy_clip_l14": "yermandy_clip_l14",
}
CASES = [
    *(pytest.param(*case, id=case[0]) for case in QUICK.items()),
    *(pytest.param(*case, id=case[0], marks=pytest.mark.slow) for case in SLOW.items()),
]


def expanded(rows: Iterable[tuple[str, list[int]]]) -> Iterator[tuple[str, list[int]]]:
    """Yield names and shapes, "layers.{0..2}.weight" as three."""
    for name, shape in rows:
        found = re.search(r"\{(\d+)\.\.(\d+)\}", name)
        if found is None:
            yield name, shape
            continue
        numbers = range(int(found[1]), int(found[2]) + 1)
        before, after = name[: found.start()], name[found.end() :]
        yield from expanded((f"{before}{number}{after}", shape) for number in numbers)


def read(name: str) -> dict[str, Any]:
    contents: dict[str, Any] = json.loads((REFERENCE / f"{name}.json").read_text())
    return contents


def published(reference: dict[str, Any], made: Made) -> dict[str, Tensor]:
    """Return the published tensors of a reference, drawn from their names."""
    return made(expanded(reference["state_dict"]), reference["salt"], reference["gain"])


@pytest.mark.parametrize(("file", "name"), CASES)
def test_a_card_gives_the_published_logits(
    file: str, name: str, made: Made, made_faces: Faces
) -> None:
    reference = read(file)
    model = load_published(published(reference, made))
    assert model.name == name
    size = reference["input"]["size"]
    mean, std = reference["input"]["mean"], reference["input"]["std"]
    assert model.recipe.image_size == size
    assert model.recipe.mean == pytest.approx(mean)
    assert model.recipe.std == pytest.approx(std)
    faces = made_faces(size, reference["salt"], mean, std)
    if model.frames > 1:  # two clips of four faces
        faces = torch.stack([faces, made_faces(size, reference["salt"] + 1, mean, std)])
    with torch.no_grad():
        logits = model.network(faces)
    columns, fake = torch.tensor(reference["logits"]), reference["output"]["fake"]
    expected = columns[:, 0] if columns.shape[1] == 1 else columns[:, fake] - columns[:, 1 - fake]
    torch.testing.assert_close(logits, expected, **reference["tolerance"])


def test_every_reference_is_tested() -> None:
    assert {path.stem for path in REFERENCE.glob("*.json")} == {*QUICK, *SLOW}


CARD = """
name: theirs
tensors: {stem.patch_embed.proj.weight: null, last.weight: [2, 64]}
rename: [['^stem\\.', 'backbone.'], ['^last\\.', 'head.1.']]
unused: ['^helper\\.']
head: head.1
fake: FAKE
network: {class_path: deepfake.models.timm_classifier.TimmClassifier, init_args: {name: test_vit}}
recipe: {image_size: 160, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}
preprocess: {margin: 0.1, crop: box}
licence: none known
output: fake minus real
"""


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """Return the file of a small network under names of its own, with two columns."""
    network = TimmClassifier("test_vit")
    state = {
        name.replace("backbone.", "stem."): tensor
        for name, tensor in network.state_dict().items()
        if name.startswith("backbone.")
    }
    columns = torch.randn(2, network.num_features, generator=torch.Generator().manual_seed(0))
    state |= {"last.weight": columns, "last.bias": torch.tensor([0.25, -0.5])}
    torch.save({"state_dict": state | {"helper.weight": torch.zeros(3)}}, tmp_path / "theirs.pth")
    return tmp_path / "theirs.pth"


def test_a_users_card_beside_the_weights_adds_a_family(theirs: Path) -> None:
    with pytest.raises(CheckpointError, match="no network that is known"):
        load_published(theirs)
    theirs.with_suffix(".yaml").write_text(CARD.replace("FAKE", "1"))
    checkpoint = load(theirs)
    assert "published theirs (none known)" in checkpoint.note
    assert checkpoint.recipe.image_size == 160
    assert checkpoint.preprocess.crop == "box"


def test_the_wrong_column_would_turn_every_verdict(theirs: Path) -> None:
    faces = torch.randn(3, 3, 160, 160, generator=torch.Generator().manual_seed(1))
    logits = []
    for fake in ("0", "1"):
        theirs.with_suffix(".yaml").write_text(CARD.replace("FAKE", fake))
        with torch.no_grad():
            logits.append(load_published(theirs).network(faces))
    torch.testing.assert_close(logits[0], -logits[1])
    assert logits[0].abs().min() > 0.01


def test_each_family_says_which_of_two_columns_is_fake() -> None:
    """FSFM, CViT and GenConViT put fake first, all others real."""
    first = {card.name for card in known_cards() if card.head and card.fake == 0}
    assert first == {
        "cvit",
        "cvit2",
        "fsfm_vit_b16",
        "fsfm_vit_l16",
        "fsfm_vit_s16",
        "fsvfm_adapter_l16",
        "genconvit_ed",
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("licence: none known", "license: MIT", r"unknown entries \['license'\]"),
        ("fake: 1", "fake: 2", "fake is 0 or 1"),
        ("image_size: 160", "image_size: big", "image_size must be"),
        ("crop: box", "crop: round", "crop"),
        ("[['^stem", "[['^(stem", "not a card"),
        ("name: theirs", "name: [theirs", "is not YAML"),
        ("deepfake.models.timm_classifier.TimmClassifier", "os.system", "not one of this project"),
        ("['^helper\\\\.']", "[]", r"unknown \(helper\.weight\)"),
    ],
)
def test_a_wrong_card_is_refused_in_one_line(
    old: str, new: str, message: str, theirs: Path
) -> None:
    right = CARD.replace("FAKE", "1")
    assert old.replace("\\\\", "\\") in right
    theirs.with_suffix(".yaml").write_text(right.replace(old.replace("\\\\", "\\"), new))
    with pytest.raises(CheckpointError, match=message) as caught:
        load_published(theirs)
    assert "\n" not in str(caught.value)

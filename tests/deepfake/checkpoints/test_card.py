import json
import shutil
from pathlib import Path

import pytest

from deepfake.checkpoints.card import limits_beside, limits_in
from deepfake.checkpoints.loading import DEFAULT_MODEL, load
from deepfake.checkpoints.settings import Settings
from deepfake.errors import CheckpointError
from deepfake.export import main as export

CARD = """# A model

- Finds a lot.

## What it cannot do

- Find **lip-sync**, or
  [other methods](https://example.org): `file_name`.
* Judge *tiny* faces.

A paragraph
of two lines.

## Else

- Nothing.
"""
LIMITS = (
    "Find lip-sync, or other methods: file_name.",
    "Judge tiny faces.",
    "A paragraph of two lines.",
)


def test_limits_are_read_from_a_card() -> None:
    assert limits_in(CARD) == LIMITS
    assert limits_in("# A model\n\nGood.") == ()


def test_no_card_and_a_strange_one_are_no_limits(tmp_path: Path) -> None:
    assert limits_beside(tmp_path / "a.ckpt") == ()
    (tmp_path / "MODEL_CARD.md").write_bytes(b"\xff\xfe\x00")
    assert limits_beside(tmp_path / "a.ckpt") == ()


def test_the_shipped_model_brings_the_limits_of_its_card() -> None:
    card = (Path(__file__).parents[3] / "MODEL_CARD.md").read_text(encoding="utf-8")
    limits = load(Path("default")).limits
    assert limits == limits_in(card) == limits_beside(DEFAULT_MODEL)
    assert any("demographics were not measured" in text for text in limits)


def test_the_limits_travel_with_what_is_exported(checkpoint: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(checkpoint, run / "best.ckpt")
    (run / "MODEL_CARD.md").write_text(CARD)
    out = tmp_path / "m.safetensors"
    command = ["--checkpoint", str(run / "best.ckpt"), "--format", "safetensors"]
    assert export([*command, "--out", str(out)]) == 0
    assert load(run / "best.ckpt").limits == load(out).limits == LIMITS
    (tmp_path / "MODEL_CARD.md").write_text("## What it cannot do\n- Another model's.")
    assert load(out).limits == LIMITS, "what is inside comes first"


def test_limits_that_are_no_texts_are_refused(contents: dict[str, dict[str, object]]) -> None:
    for wrong in ("text", [1], {"a": 1}):
        settings = json.dumps({**contents["deepfake"], "limits": wrong})
        with pytest.raises(CheckpointError, match="limits must be a list of texts"):
            Settings.from_json(settings, Path("m.onnx"))

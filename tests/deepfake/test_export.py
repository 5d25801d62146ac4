import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from deepfake.checkpoints import loading as checkpoints
from deepfake.checkpoints.export import export, parity_faces, write
from deepfake.checkpoints.gauge import Gauge
from deepfake.checkpoints.loading import find_checkpoint, load, load_network
from deepfake.checkpoints.scorers import Faces, TorchScorer
from deepfake.checkpoints.settings import Settings
from deepfake.errors import CheckpointError, DeepfakeError
from deepfake.export import SUFFIXES, main
from deepfake.models.multi_stage import MultiStageClassifier
from deepfake.models.views import ViewEnsemble
from deepfake.recipe import InputRecipe
from preprocessing.types import PreprocessOptions
from recipes.default_model.release import release

FACES = np.random.default_rng(1).random((5, 3, 256, 256), dtype=np.float32)


@pytest.fixture(scope="session")
def shipped(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a small default model."""
    folder = tmp_path_factory.mktemp("weights")
    release(checkpoint, folder)
    return folder


@pytest.fixture
def installed(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small default model in place of the real one."""
    monkeypatch.setattr(checkpoints, "WEIGHTS", shipped)
    monkeypatch.setattr(checkpoints, "DEFAULT_MODEL", shipped / "default.onnx")
    monkeypatch.setattr(checkpoints, "DEFAULT_WEIGHTS", shipped / "default.safetensors")
    monkeypatch.setattr(checkpoints, "DEFAULT_SETTINGS", shipped / "default.json")
    return shipped


@pytest.fixture(scope="session")
def expected(checkpoint: Path) -> Faces:
    return load(checkpoint).scorer.score(FACES).astype(np.float32)


@pytest.mark.parametrize("kind", ["onnx", "openvino", "safetensors"])
def test_an_export_scores_as_its_checkpoint_and_brings_its_settings(
    kind: str, checkpoint: Path, expected: Faces, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"m{SUFFIXES[kind]}"
    assert main(["--checkpoint", str(checkpoint), "--format", kind, "--out", str(out)]) == 0
    assert "largest difference of scores:" in capsys.readouterr().out
    loaded, original = load(out), load(checkpoint)
    for faces, scores in ((FACES, expected), (FACES[:1], expected[:1])):
        np.testing.assert_allclose(loaded.scorer.score(faces), scores, atol=1e-5)
    for name in ("recipe", "preprocess", "calibration", "aggregation", "frames"):
        assert getattr(loaded, name) == getattr(original, name), name
    assert not list(tmp_path.glob(".export*"))


def test_the_shipped_model_scores_as_its_checkpoint(installed: Path, expected: Faces) -> None:
    shipped = load(Path("default"))
    assert shipped.name == "default"
    assert shipped.preprocess.frames == 4
    np.testing.assert_allclose(shipped.scorer.score(FACES), expected, atol=1e-3)
    network, settings = load_network(installed / "default.onnx")
    np.testing.assert_allclose(TorchScorer(network).score(FACES), expected, atol=1e-3)
    assert settings.network == {"class_path": "deepfake.models.mesonet.Meso4", "init_args": {}}


def test_half_precision_halves_the_file(shipped: Path, checkpoint: Path, tmp_path: Path) -> None:
    full, graph = tmp_path / "full.safetensors", tmp_path / "half.onnx"
    export(checkpoint, "safetensors", full)
    export(checkpoint, "onnx", graph, half=True)
    half = shipped / "default.safetensors"
    header = int.from_bytes(full.read_bytes()[:8], "little")
    assert half.stat().st_size - header < 0.55 * (full.stat().st_size - header)
    assert b"float16" not in graph.read_bytes()  # a number in the format
    assert graph.stat().st_size < 0.8 * full.stat().st_size


@pytest.mark.parametrize("judges_likeness", [False, True])
def test_half_graphs_and_half_tensors_score_alike(tmp_path: Path, judges_likeness: bool) -> None:
    # A batch norm is folded into the weights before it: their product must not be rounded again.
    torch.manual_seed(0)
    members = [MultiStageClassifier("test_efficientnet") for _ in range(2)]
    network = ViewEnsemble(members, [1.0, 0.75], [64, 48], [1.0, 2.0], image_size=96)
    for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d)):
        nn.init.uniform_(norm.weight, 0.3, 3)
        nn.init.uniform_(norm.running_var, 0.1, 4)  # type: ignore[arg-type]
    for weights in (p for p in network.parameters() if p.ndim > 1):
        weights.data = weights.data.half().float()
    spec: dict[str, Any] = {
        "class_path": "deepfake.models.multi_stage.MultiStageClassifier",
        "init_args": {"name": "test_efficientnet"},
    }
    arguments: dict[str, Any] = {"networks": [spec, spec], "views": [1.0, 0.75], "sizes": [64, 48]}
    arguments |= {"temperatures": [1.0, 2.0], "image_size": 96}
    spec = {"class_path": "deepfake.models.views.ViewEnsemble", "init_args": arguments}
    settings = Settings(InputRecipe(image_size=96), PreprocessOptions(), network=spec)
    if judges_likeness:
        rows = np.random.default_rng(0).normal(size=(120, network.num_features))
        settings = replace(settings, gauge=Gauge.fit(list(rows.astype(np.float32))))
    write(network, settings, tmp_path / "rounded.safetensors")
    parity = export(tmp_path / "rounded.safetensors", "onnx", tmp_path / "half.onnx", half=True)
    assert parity.difference < 2e-5
    assert (tmp_path / "half.onnx").stat().st_size < 0.75 * sum(
        p.numel() * 4 for p in network.parameters()
    )


def test_the_same_checkpoint_gives_the_same_files(
    shipped: Path, checkpoint: Path, tmp_path: Path
) -> None:
    release(checkpoint, tmp_path)
    for file in sorted(shipped.iterdir()):
        assert (tmp_path / file.name).read_bytes() == file.read_bytes(), file.name
    text = (shipped / "default.onnx").read_bytes()
    assert b".py" not in text, "a path of the machine that exported it"


def test_the_word_default_wins_over_the_latest_run(
    installed: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "latest").mkdir(parents=True)
    (tmp_path / "runs" / "latest" / "best.ckpt").write_bytes(checkpoint.read_bytes())
    assert find_checkpoint() == Path("runs/latest/best.ckpt")
    assert find_checkpoint(Path("default")) == installed / "default.onnx"
    monkeypatch.setattr(checkpoints, "DEFAULT_MODEL", tmp_path / "default.onnx")
    with pytest.raises(CheckpointError, match="No default model is installed"):
        find_checkpoint(Path("default"))


@pytest.mark.parametrize("name", ["default.onnx", "default.safetensors"])
def test_a_damaged_default_model_is_refused(
    name: str, shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in shipped.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    damaged = bytearray((tmp_path / name).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / name).write_bytes(damaged)
    monkeypatch.setattr(checkpoints, "WEIGHTS", tmp_path)
    monkeypatch.setattr(checkpoints, "DEFAULT_MODEL", tmp_path / "default.onnx")
    monkeypatch.setattr(checkpoints, "DEFAULT_WEIGHTS", tmp_path / "default.safetensors")
    with pytest.raises(CheckpointError, match="damaged"):
        (load if name.endswith("onnx") else load_network)(tmp_path / "default.onnx")


def test_predict_runs_a_graph_without_torch(shipped: Path, samples: Path) -> None:
    code = (
        "import sys; from deepfake.predict import main; status = main(sys.argv[1:]); "
        "sys.exit(9 if 'torch' in sys.modules else status)"
    )
    command = [sys.executable, "-c", code, str(samples / "fake.mp4")]
    done = subprocess.run(
        [*command, "--checkpoint", str(shipped / "default.onnx")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "person" in done.stdout


def test_an_export_that_changes_scores_is_refused(tmp_path: Path, contents: dict[str, Any]) -> None:
    contents["state_dict"]["network.head.1.weight"] *= 1e6  # beyond float16
    source, out = tmp_path / "a.ckpt", tmp_path / "a.safetensors"
    torch.save(contents, source)
    with pytest.raises(DeepfakeError, match=r"changes a score by nan.*Leave --half out"):
        export(source, "safetensors", out, half=True)
    assert not out.exists()


def test_a_graph_cannot_be_exported_again(shipped: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="checkpoint it was made from"):
        export(shipped / "default.onnx", "onnx", tmp_path / "a.onnx")


def test_tensors_without_settings_are_still_published_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="no network that is known here"):
        load(path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "onnx", "--out", "m.pt"], r"ends in \.onnx"),
        (["--format", "onnx", "--out", "none/m.onnx"], "make the folder none"),
    ],
)
def test_options_that_do_not_fit_name_the_remedy(options: list[str], words: str) -> None:
    with pytest.raises(DeepfakeError, match=words):
        main(options)


def test_parity_looks_at_extreme_faces_and_clips(checkpoint: Path) -> None:
    _, settings = load_network(checkpoint)
    faces = parity_faces(settings)
    assert faces.shape == (8, 3, 256, 256)
    assert (faces[0].max(), faces[1].min()) == (0, 1)
    clips = parity_faces(Settings(**{**vars(settings), "frames": 3}))
    assert clips.shape == (8, 3, 3, 256, 256)
    np.testing.assert_array_equal(clips[0, 2], faces[2])

"""The model that ships: small, unharmed, used where there is no run, without torch."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepfake.checkpoints import loading as checkpoints
from deepfake.checkpoints.loading import (
    DEFAULT_MODEL,
    DEFAULT_WEIGHTS,
    WEIGHTS,
    find_checkpoint,
    load,
)
from deepfake.errors import CheckpointError
from recipes.default_model.finish import averaged

FILES = ("default.onnx", "default.safetensors", "default.json", "config.yaml", "SHA256")


def test_the_files_are_there_and_small() -> None:
    sizes = {name: (WEIGHTS / name).stat().st_size for name in FILES}
    assert sum(sizes.values()) < 25e6, sizes
    listed = {line.split()[1] for line in (WEIGHTS / "SHA256").read_text().splitlines()}
    assert listed == set(FILES) - {"SHA256"}


def test_every_file_has_its_hash() -> None:
    for line in (WEIGHTS / "SHA256").read_text().splitlines():
        digest, name = line.split()
        assert checkpoints.sha256(WEIGHTS / name) == digest, name


def test_a_flipped_byte_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FILES:
        shutil.copyfile(WEIGHTS / name, tmp_path / name)
    content = bytearray((tmp_path / "default.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "default.onnx").write_bytes(content)
    monkeypatch.setattr(checkpoints, "WEIGHTS", tmp_path)
    monkeypatch.setattr(checkpoints, "DEFAULT_MODEL", tmp_path / "default.onnx")
    with pytest.raises(CheckpointError, match="is damaged"):
        load(Path("default"))


def test_it_is_found_where_there_is_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint() == DEFAULT_MODEL


def test_it_is_calibrated_for_few_false_alarms() -> None:
    shipped = load(Path("default"))
    fitted = shipped.calibration
    assert fitted.reals >= 19
    assert fitted.fakes >= 19
    assert fitted.false_alarms <= 0.1
    assert "research" in shipped.note
    assert "not evidence" in shipped.note


def test_graph_and_tensors_agree() -> None:
    network = load(DEFAULT_WEIGHTS)
    graph = load(Path("default"))
    size = graph.recipe.image_size
    noise = np.random.default_rng(0).standard_normal((2, 3, size, size), dtype=np.float32)
    np.testing.assert_allclose(graph.scorer.score(noise), network.scorer.score(noise), atol=1e-3)


def test_predict_judges_the_samples_without_runs_and_without_what_takes_long_to_import(
    samples: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from deepfake.predict import main; "
        "status = main(sys.argv[1:]); "
        # and as its worker
        "from deepfake.inference.worker import look_for_all, Clip; "
        "from deepfake.checkpoints.loading import load; made = load(); "
        "look_for_all(Clip(Path(sys.argv[1]), made.preprocess, made.recipe, 0, None)); "
        "sys.exit(9 if {'torch', 'numpy.ma', 'scipy'} & set(sys.modules) else status)"
    )
    clips = [str((samples / name).resolve()) for name in ("real.mp4", "fake.mp4")]
    done = subprocess.run(
        [sys.executable, "-c", code, *clips, "--json", "out.json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    verdicts = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert len(verdicts) == 2
    for verdict in verdicts:
        assert 0 <= verdict["score"] <= 1
        assert verdict["checkpoint"] == "default"


def test_weights_are_averaged_and_rounded() -> None:
    torch = pytest.importorskip("torch")
    first = {"state_dict": {"w": torch.tensor([[1.0, 0.1]]), "n": torch.tensor(3)}}
    second = {"state_dict": {"w": torch.tensor([[3.0, 0.1]]), "n": torch.tensor(4)}}
    mean = averaged([first, second])
    half = float(np.float16(0.1))
    assert mean["w"].tolist() == [[2.0, half]]
    assert int(mean["n"]) == 3


def test_a_run_starts_from_the_weights_of_another(checkpoint: Path) -> None:
    from deepfake.checkpoints.loading import load_network
    from deepfake.errors import DeepfakeError
    from deepfake.models.mesonet import Meso4, MesoInception4
    from deepfake.training.module import FakeClassifier

    expected = load_network(checkpoint)[0].state_dict()
    classifier = FakeClassifier(Meso4(), start_from=checkpoint)
    classifier.setup("fit")
    for name, tensor in classifier.network.state_dict().items():
        assert tensor.equal(expected[name]), name
    with pytest.raises(DeepfakeError, match=r"do not fit MesoInception4 .*They fit .*Meso4"):
        FakeClassifier(MesoInception4(), start_from=checkpoint).setup("fit")

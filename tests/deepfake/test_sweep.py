import importlib.util
from pathlib import Path

import pytest

from deepfake.training.runs import LATEST

SCRIPT = Path(__file__).parents[2] / "docs" / "sweep.py"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of sqlalchemy and alembic
def test_the_sweep_of_the_docs_runs(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("optuna", reason="needs the extra: pip install -e '.[sweep]'")
    spec = importlib.util.spec_from_file_location("sweep", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    sweep = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sweep)
    monkeypatch.chdir(tmp_path)
    given = [
        "--model.network=deepfake.models.mesonet.Meso4",
        "--model.network.init_args.image_size=32",
        f"--data.root={faces}",
        "--data.recipe.image_size=32",
        "--data.frames_per_video=1",
        "--trainer.max_epochs=1",
    ]
    sweep.main(["1", *given])
    sweep.main(["1", *given])
    assert "best of 2: " in capsys.readouterr().out
    assert len(list((tmp_path / "runs").glob("[0-9]*"))) == 2
    assert (tmp_path / "runs" / LATEST / "best.ckpt").is_file()

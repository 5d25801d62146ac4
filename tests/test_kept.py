"""What users have keeps its meaning: files that an earlier version wrote, and the options.

`tests/fixtures` was written by version 0.1.0 before its modules moved. Nothing here is written
again when code changes; `help.txt` alone grows, with `python -m tests.test_kept`.
"""

import contextlib
import importlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

import pyarrow.parquet as pq
import pytest
import torch

from deepfake import evaluate, predict, train

KEPT = Path(__file__).parent / "fixtures"
HELP = KEPT / "help.txt"
COMMANDS = {
    "deepfake": ["--help"],
    "deepfake.preprocess": ["--help"],
    "deepfake.train": ["--help"],
    "deepfake.evaluate": ["--help"],
    "deepfake.evaluate report": ["--help"],
    "deepfake.predict": ["--help"],
    "deepfake.export": ["--help"],
    "deepfake.app": ["--help"],
    "deepfake.data check": ["--help"],
    "deepfake.data pack": ["--help"],
    "deepfake.data shard": ["--help"],
    "deepfake.train --help_all": ["--help_all"],
}
OPTION = re.compile(r"(?<![\w-])--?[a-z][\w.]*(?:-[\w.]+)*")
Numbers = dict[tuple[str, int, int], float]


def scores(path: Path) -> Numbers:
    table = pq.read_table(path).to_pydict()
    keys = zip(table["video"], table["track"], table["frame"], strict=True)
    return dict(zip(keys, table["score"], strict=True))


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A copy of the kept crops, since commands keep what they found beside them."""
    return Path(shutil.copytree(KEPT / "faces", tmp_path / "faces"))


def scores_of(checkpoint: Path, faces: Path, out: Path) -> Numbers:
    arguments = [f"--checkpoint={checkpoint}", f"--data={faces}", f"--out={out}"]
    assert evaluate.main([*arguments, "--repeats=10"]) == 0
    return scores(out / "scores.parquet")


def test_a_kept_checkpoint_scores_kept_crops_as_it_did(faces: Path, tmp_path: Path) -> None:
    kept = scores(KEPT / "scores.parquet")
    assert len(set(kept.values())) == 16
    assert scores_of(KEPT / "last.ckpt", faces, tmp_path) == pytest.approx(kept, abs=1e-5)


def test_a_kept_checkpoint_judges_the_sample_as_it_did(samples: Path, tmp_path: Path) -> None:
    clip, out = str(samples / "fake.mp4"), tmp_path / "verdict.json"
    assert predict.main([clip, f"--checkpoint={KEPT / 'last.ckpt'}", f"--json={out}"]) == 0
    (found,) = json.loads(out.read_text())
    kept = json.loads((KEPT / "verdict.json").read_text())
    assert found["score"] == pytest.approx(kept["score"], abs=1e-5)
    assert found["label"] == kept["label"]
    assert len(found["faces"]) == len(kept["faces"])


def test_kept_scores_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = str(KEPT / "scores.parquet")
    assert evaluate.main(["report", kept, "--repeats=10", f"--out={tmp_path}"]) == 0
    assert "| fixtures/last | video | 0.750" in capsys.readouterr().out


def test_a_kept_configuration_trains_anew(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [f"--config={KEPT / 'config.yaml'}", f"--data.root={faces}"]
    assert train.main([*arguments, f"--runs={tmp_path}", "--trainer.max_epochs=1"]) == 0
    assert "video_auroc" in capsys.readouterr().out


def test_a_kept_run_goes_on(faces: Path, tmp_path: Path) -> None:
    run = tmp_path / "kept"
    run.mkdir()
    for name in ("config.yaml", "last.ckpt"):
        shutil.copy(KEPT / name, run / name)
    arguments = [f"--ckpt_path={run / 'last.ckpt'}", f"--data.root={faces}"]
    assert train.main([*arguments, "--trainer.max_epochs=13", "--test=false"]) == 0
    assert torch.load(run / "last.ckpt", weights_only=True)["epoch"] == 12
    assert scores_of(run / "last.ckpt", faces, tmp_path) != scores(KEPT / "scores.parquet")


def help_of(command: str) -> str:
    """Return what a command prints when it is asked for help, 80 characters wide."""
    module, *words = command.split()
    name = module if module.count(".") == 1 and module != "deepfake.data" else f"{module}.__main__"
    loaded = importlib.import_module(name)
    entry: Callable[[Sequence[str]], int] = getattr(loaded, "dispatch", None) or loaded.main
    output = io.StringIO()
    words = [word for word in words if not word.startswith("-")]
    with (
        contextlib.redirect_stdout(output),
        contextlib.suppress(SystemExit),
        mock.patch.dict(os.environ, {"COLUMNS": "80"}),
    ):
        entry([*words, *COMMANDS[command]])
    text = output.getvalue()
    return text if COMMANDS[command] == ["--help"] else "\n".join(sorted(set(OPTION.findall(text))))


def options_in(text: str) -> dict[str, set[str]]:
    """Return the options that each command of `help.txt` names."""
    parts = re.split(r"^# (.+)\n", text, flags=re.MULTILINE)[1:]
    found = zip(parts[::2], parts[1::2], strict=True)
    return {name: set(OPTION.findall(body)) for name, body in found}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_option_is_lost(command: str) -> None:
    kept = options_in(HELP.read_text(encoding="utf-8"))[command]
    if command != "deepfake":
        assert len(kept) > 1
    found = options_in(f"# {command}\n{help_of(command)}")[command]
    assert not kept - found, "an option is gone; if it was meant, run python -m tests.test_kept"


if __name__ == "__main__":
    HELP.write_text("".join(f"# {name}\n{help_of(name)}\n" for name in COMMANDS), encoding="utf-8")

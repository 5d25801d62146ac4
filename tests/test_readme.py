"""The README's commands are run, and the output that it shows is theirs."""

import inspect
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from deepfake import app, evaluate, export, predict, preprocess
from deepfake.__main__ import VERBS
from deepfake.data.datamodule import FaceDataModule

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONSOLE = re.findall(r"```console\n\$ deepfake (.+)\n((?:.*\n)+?)```", README)


def run(arguments: list[str], folder: Path) -> str:
    # As after `. .venv/bin/activate`.
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["deepfake", *arguments],
        env=os.environ | {"PATH": places},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path, samples: Path) -> Path:
    for label in ("real", "fake"):
        (tmp_path / "videos" / label).mkdir(parents=True)
        shutil.copy(samples / f"{label}.mp4", tmp_path / "videos" / label / "anna.mp4")
    shutil.copy(samples / "fake.mp4", tmp_path / "clip.mp4")
    return tmp_path


def test_shown_output_is_real(folder: Path) -> None:
    assert len(CONSOLE) == 2
    for command, shown in CONSOLE:
        assert run(command.split(), folder) == shown


@pytest.mark.slow
def test_the_three_verbs_chain_with_no_options(folder: Path) -> None:
    run(["preprocess", "videos/"], folder)
    # Ten epochs on these two clips say no more than one.
    trained = run(["train", "--trainer.max_epochs", "1"], folder)
    assert "next: deepfake predict clip.mp4" in trained
    verdict = run(["predict", "clip.mp4"], folder)
    assert verdict.startswith("checkpoint: runs/latest/best.ckpt\n")
    assert re.search(r"clip\.mp4: (REAL|FAKE|UNDECIDED) \(score [a-z ]*0\.\d\d", verdict)


def test_files_that_it_names_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_commands_and_options_that_it_names_exist() -> None:
    for verb in re.findall(r"(?m)^(?:\S*/)?deepfake (\w+)|`deepfake (\w+)", README):
        assert "".join(verb) in VERBS
    for module in re.findall(r"python -m ([\w.]+)", README):
        assert find_spec(module) is not None, module
    helps = [verb.parser().format_help() for verb in (app, evaluate, export, predict, preprocess)]
    of_train = {f"--data.{name}" for name in inspect.signature(FaceDataModule).parameters}
    for option in set(re.findall(r"`(--[\w.]+)", README)) - of_train - {"--ckpt_path"}:
        assert any(option in text for text in helps), option


def test_its_rate_of_errors_is_the_cards() -> None:
    card = (ROOT / "MODEL_CARD.md").read_text(encoding="utf-8")
    rate = card.split("## How often it is wrong\n\n")[1].split("\n\n")[0]
    assert "95 % interval" in rate
    assert " ".join(rate.split()) in " ".join(README.split())


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 250

"""Training as processes: killed, stopped politely, and two at once."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from deepfake.train import config_folder
from deepfake.training import train
from deepfake.training.runs import final_measures
from preprocessing.crops.manifest import MANIFEST, read_table

SETTINGS = """
model:
  network:
    class_path: deepfake.models.mesonet.Meso4
    init_args: {image_size: 32}
data: {batch_size: 4, num_workers: 0, frames_per_video: 2, recipe: {image_size: 32}}
trainer: {max_epochs: 3, log_every_n_steps: 1, accelerator: cpu}
"""
LIMIT_S = 500

Arguments = Callable[..., list[str]]


@pytest.fixture
def given(faces: Path, tmp_path: Path) -> Arguments:
    """Arguments of a run of Meso4; options are added."""
    (tmp_path / "meso.yaml").write_text(SETTINGS)
    first = ["--config", str(config_folder() / "default.yaml")]
    mine = [f"--config={tmp_path / 'meso.yaml'}", f"--data.root={faces}"]
    return lambda *more: [*first, *mine, *more]


def begin(arguments: list[str]) -> "subprocess.Popen[str]":
    """Start `python -m deepfake.train`."""
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    environment.pop("PL_GLOBAL_SEED", None)  # of a training in this process
    return subprocess.Popen(
        [sys.executable, "-m", "deepfake.train", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def curves(run: Path) -> list[dict[str, float]]:
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{name: float(text) for name, text in row.items() if text} for row in rows]


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + LIMIT_S
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, f"no {path}"
        time.sleep(0.02)


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_end(given: Arguments, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    process = begin(given(f"--runs={runs}"))
    wait_for(runs / "latest" / "last.ckpt", process)  # in the first of three epochs
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    resumed = train(["--ckpt_path=last", f"--runs={runs}"])
    whole = train(given(f"--runs={tmp_path / 'whole'}"))
    # The mean loss of the epoch is logged after its checkpoint; the kill may come between.
    late = [row for row in curves(whole) if row["epoch"] == 0 and "train/loss" in row]
    expected = [row for row in curves(whole) if row not in late]
    found = [row for row in curves(resumed) if row["epoch"] > 0 or "train/loss" not in row]
    assert found == [pytest.approx(row, abs=1e-5) for row in expected]
    assert sorted(path.name for path in runs.iterdir()) == sorted([resumed.name, "latest"])


@pytest.mark.slow
def test_sigterm_leaves_a_checkpoint_to_go_on_from(given: Arguments, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    process = begin(given(f"--runs={runs}", "--trainer.max_epochs=500", "--test=false"))
    wait_for(runs / "latest" / "last.ckpt", process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 128 + signal.SIGTERM
    assert out == ""
    assert "stopped by SIGTERM; go on with `python -m deepfake.train --ckpt_path" in err
    assert "Traceback" not in err
    done = torch.load(runs / "latest" / "last.ckpt", weights_only=True)["epoch"]
    resumed = train(["--ckpt_path=last", f"--runs={runs}", f"--trainer.max_epochs={done + 2}"])
    with (resumed / "metrics.csv").open() as file:
        epochs = {int(row["epoch"]) for row in csv.DictReader(file)}
    assert epochs == set(range(done + 2))


@pytest.mark.slow
def test_two_processes_measure_as_one(given: Arguments, faces: Path, tmp_path: Path) -> None:
    """Seven faces a side do not divide by two: one is shown twice, and must count once.

    Nothing is learnt and nothing normalised over a batch, so that both judge by the same weights.
    """
    odd = tmp_path / "odd"
    shutil.copytree(faces, odd)
    table = read_table(faces)
    ends = [key in ("real/p4", "real/p6") for key in table["video"].to_pylist()]
    first = [end and not before for end, before in zip(ends, [False, *ends], strict=False)]
    pq.write_table(table.filter(pa.array([not row for row in first])), odd / MANIFEST)
    options = [
        f"--data.root={odd}",
        "--model.network=deepfake.models.convit.ConViT",
        *(f"--model.network.init_args.{name}" for name in ("image_size=32", "depth=2")),
        "--model.network.init_args.local_depth=1",
        "--model.optimizer.init_args.lr=0.0",
        "--trainer.max_epochs=1",
        "--trainer.limit_train_batches=1",
        "--trainer.precision=32-true",  # bfloat16 rounds each process's batches otherwise
    ]
    parallel = ["--trainer.strategy=ddp", "--trainer.devices=2"]
    two = begin(given(f"--runs={tmp_path / 'two'}", *options, *parallel))
    one = train(given(f"--runs={tmp_path / 'one'}", *options))
    out, err = two.communicate(timeout=LIMIT_S)
    assert two.returncode == 0, err
    assert out.count("next: ") == 1
    assert len(list((tmp_path / "two").iterdir())) == 2  # one run for both, and "latest"
    _, val, test = final_measures(one)
    _, val_two, test_two = final_measures(tmp_path / "two" / "latest")
    assert val["videos"] == val_two["videos"] == 4
    for name in set(val) - {"loss"}:  # the loss is a mean over batches of each process
        assert val_two[name] == pytest.approx(val[name], abs=1e-5), name
        assert test_two[name] == pytest.approx(test[name], abs=1e-5), name

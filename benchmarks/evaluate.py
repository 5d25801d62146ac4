"""Evaluating a million crops, and the time a crop takes beside that of an earlier commit.

The rate is of `python -m deepfake.evaluate` on copies of one crop, on all cores, as a user starts
it: the wall time of a long run less that of a short one, over their crops. So what a run does once
(imports, the graph for ONNX Runtime, the map of 2,000 features) is left out; the table, figures and
page are not. Two networks: the tiny one of `tests/fixtures/last.ckpt`, which shows what surrounds a
network, and Efficient ViT as in `configs/default.yaml`, untrained. The earlier commit is checked
out beside. The million has its scores in the cache already: seconds and memory are of reading the
manifest, scores, every table and the page.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import ROOT, Row, Usage, child, row
from preprocessing.crops.manifest import MANIFEST, OPTIONS, to_table
from preprocessing.types import FaceCrop, PreprocessOptions

BEFORE = "3977e04"
CHECKPOINT = ROOT / "tests" / "fixtures" / "last.ckpt"
SHORT = 2200  # crops; the map of features is of 2,000 in all runs, and each makes a graph
MANY = 1_000_000
PER_VIDEO = 20
TURNS = 2
CLASS = "deepfake.models.efficient_vit.EfficientViT"
SIZES: dict[str, Any] = {"backbone": "tf_efficientnet_lite0", "stage": -1, "patch_size": 1,
                         "dim": 192, "depth": 2, "heads": 3, "mlp_dim": 384}  # fmt: skip


def run(clips: Sequence[Path]) -> list[Row]:  # noqa: ARG001
    """Return the rate's row, and seconds and memory of a million cached crops."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = folder / "before"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "-q", "--detach", str(before), BEFORE], check=True)
        try:
            untrained = write_untrained(folder / "untrained.ckpt")
            rows = [
                rate(folder / "tiny", before, "Meso4 of 32 px", CHECKPOINT, 64, 42200),
                rate(folder / "whole", before, "Efficient ViT of 224 px", untrained, 224, 6200),
            ]
        finally:
            subprocess.run([*git, "remove", "--force", str(before)], check=True)
        used = many(folder / "many", MANY)
    case = f"{MANY:,} cached crops of {MANY // PER_VIDEO:,} videos"
    return [
        *rows,
        Row("evaluate", f"{case}, in all", used.cpu_s, 0, 0, 0, "CPU s"),
        Row("evaluate", f"{case}, peak", used.peak_mb, 0, 0, 0, "MB"),
    ]


def rate(folder: Path, before: Path, network: str, checkpoint: Path, side: int, long: int) -> Row:
    """Return the wall time of a crop of so many pixels, ours and before."""
    for count in (SHORT, long):
        write_folder(folder / str(count), count, side)

    def of(tree: Path) -> float:
        spent = []
        for count in (SHORT, long):
            data, out = folder / str(count), folder / "out"
            shutil.rmtree(data / ".scores", ignore_errors=True)  # nothing is known of the crops
            options = ["--checkpoint", str(checkpoint), "--data", str(data), "--out", str(out)]
            cores = os.cpu_count() or 1
            spent.append(evaluate(tree, [*options, "--repeats", "10"], threads=cores).wall_s)
        return (spent[1] - spent[0]) / (long - SHORT)

    turns = [(of(ROOT), of(before)) for _ in range(TURNS)]
    figures = [turn[0] for turn in turns], [turn[1] for turn in turns]
    case = f"since {BEFORE}, crops of {side} px, {network}"
    return row("evaluate", case, figures, "wall ms per crop", 1000)


def write_untrained(file: Path) -> Path:
    """Write a checkpoint of `configs/default.yaml`'s network that both commits load."""
    import torch

    from deepfake.models.efficient_vit import EfficientViT

    torch.manual_seed(0)
    content = torch.load(CHECKPOINT, map_location="cpu", weights_only=True)
    about = content["deepfake"]
    about["network"] = {"class_path": CLASS, "init_args": {**SIZES, "pretrained": False}}
    about["recipe"]["image_size"] = 224
    weights = EfficientViT(**SIZES).state_dict()
    state = {f"network.{name}": value for name, value in weights.items()}
    torch.save({"state_dict": state, "deepfake": about}, file)
    return file


def evaluate(tree: Path, options: Sequence[str], *, threads: int = 1) -> Usage:
    """Run the command of a tree of the code in a process of its own."""
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); " \
        "from deepfake.evaluate import main; sys.exit(main(sys.argv[1:]))"  # fmt: skip
    return child([sys.executable, "-c", code, str(tree), *options], threads=threads)


def many(folder: Path, count: int) -> Usage:
    """Evaluate crops whose scores are known; return what it used."""
    from deepfake import __version__
    from deepfake.checkpoints.loading import load
    from deepfake.evaluation.cache import SCHEMA, ScoreCache

    write_folder(folder, count, 64)
    checkpoint = load(CHECKPOINT)
    cache = ScoreCache(folder, f"{checkpoint.sha256} {checkpoint.recipe} {__version__}")
    paths = pq.read_table(folder / MANIFEST, columns=["path", "label"])
    rng = np.random.default_rng(0)
    fake = paths["label"].to_numpy()
    scores = 1 / (1 + np.exp(-rng.normal(2.0 * fake - 1, 1.5)))
    looks = [rng.uniform(10, 99, count), rng.uniform(0.2, 0.8, count)]
    cache.path.parent.mkdir()
    pq.write_table(pa.table([paths["path"], scores, *looks], schema=SCHEMA), cache.path)
    options = ["--checkpoint", str(CHECKPOINT), "--data", str(folder)]
    return evaluate(ROOT, [*options, "--out", str(folder / "out"), "--repeats", "100"])


def write_folder(folder: Path, count: int, side: int) -> None:
    """Write a folder of crops, all of them one file under as many names."""
    image = np.random.default_rng(0).integers(0, 256, (side // 4, side // 4, 3)).astype(np.uint8)
    one = folder / "crops" / "one"
    one.mkdir(parents=True)
    cv2.imwrite(str(folder / "one.png"), cv2.resize(image, (side, side)))
    inside = min(count, 1000)
    for k in range(inside):
        (one / f"{k}.png").hardlink_to(folder / "one.png")
    for k in range(-(-count // inside)):
        (folder / "crops" / f"{k}").symlink_to(one, target_is_directory=True)
    options = asdict(PreprocessOptions()) | {"version": 1}
    del options["inside"]  # which the earlier commit does not know
    (folder / OPTIONS).write_text(json.dumps(options), encoding="utf-8")
    numbers = np.arange(count)
    video = numbers // PER_VIDEO
    columns = {
        "path": [f"crops/{k // inside}/{k % inside}.png" for k in range(count)],
        "video": [f"set/{k:07}" for k in video],
        "identities": [[f"p{k // 2}"] for k in video],
        "frame": numbers % PER_VIDEO,
        "label": video % 2,
    }
    box, points = (0.0, 0.0, side, side), np.zeros((5, 2), dtype=np.float32)
    template = to_table([FaceCrop("", "", 0, 0, 0.0, box, 1.0, points, box, 0, dataset="set")])
    table = template.take(pa.array(np.zeros(count, dtype=np.int64)))
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        field = table.schema.field(place)
        table = table.set_column(place, field, pa.array(values, type=field.type))
    pq.write_table(table, folder / MANIFEST, compression="zstd")

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from deepfake.evaluation.cache import SCHEMA, ScoreCache
from deepfake.evaluation.summary import Estimate, Result
from deepfake.report.evaluation_tables import cross_table
from preprocessing.crops.manifest import read_table, write_manifest
from preprocessing.types import FaceCrop


def crop(video: str, frame: int) -> FaceCrop:
    box = (0.0, 0.0, 9.0, 9.0)
    points = np.zeros((5, 2), dtype=np.float32)
    return FaceCrop(f"{video}/{frame}.png", video, 0, frame, 0.0, box, 1.0, points, box)


def found(**scores: float) -> pa.Table:
    paths = [f"{name[0]}/{name[1]}.png" for name in scores]
    one, two = [1.0] * len(paths), [2.0] * len(paths)
    return pa.table([paths, list(scores.values()), one, two], schema=SCHEMA)


def test_scores_are_known_again_for_the_same_judge_and_crops(tmp_path: Path) -> None:
    rows = [crop("a", 0), crop("a", 1), crop("b", 0)]
    write_manifest(tmp_path, rows)
    crops = read_table(tmp_path)
    cache = ScoreCache(tmp_path, "judge")
    assert cache.unknown(crops) == crops
    cache.add([found(b0=0.1), found(a0=0.5)])
    again = ScoreCache(tmp_path, "judge")
    assert again.looks(crops.slice(0, 1)).tolist() == [[0.5, 1.0, 2.0]]
    assert again.unknown(crops)["path"].to_pylist() == ["a/0.png", "a/1.png"]  # whole videos
    again.add([found(a0=0.7, a1=0.6)])
    again = ScoreCache(tmp_path, "judge")
    assert again.looks(crops)[:, 0].tolist() == [0.7, 0.6, 0.1]
    assert not len(again.unknown(crops))
    assert not len(ScoreCache(tmp_path, "other").known)
    again.path.write_bytes(b"PAR1 broken")
    assert not len(ScoreCache(tmp_path, "judge").known)
    write_manifest(tmp_path, [*rows, crop("c", 0)])
    assert not len(ScoreCache(tmp_path, "judge").known)


def test_seeds_of_a_name_get_a_row_of_mean_and_deviation() -> None:
    one = Result("", "set", "video", "", "mean", 9, 9, 0, 0, 18, {"auroc": Estimate(0.8)})
    results = [
        replace(one, checkpoint=f"meso/seed{k}/best", estimates={"auroc": Estimate(value)})
        for k, value in enumerate((0.8, 0.9, 1.0))
    ]
    rows = {row[0]: row for row in cross_table(results).rows}
    assert rows["meso/best, 3 seeds"][2] == "0.900 \u00b1 0.100"
    unscored = replace(one, checkpoint="other", unscored=2)
    assert cross_table([unscored]).rows[0][2] == "0.800 (18 of 20 scored)"

"""Subgroups of people, and how often each is called what it is not: answers worked out by hand."""

import csv
import math
from pathlib import Path

import pytest

from deepfake.errors import DeepfakeError
from deepfake.evaluate import main
from deepfake.evaluation.intervals import t_quantile, wilson
from deepfake.evaluation.parts import parts, read_subgroups
from deepfake.evaluation.predictions import read_predictions
from deepfake.evaluation.scores import ScoredVideo
from deepfake.evaluation.summary import result
from deepfake.report.evaluation_tables import parts_table

TABLE = "Video;Sex;Skin tone\nset/v0;f;I\nv1;f;VI\nv2;m;I\nv3; ;VI\n"


@pytest.fixture
def videos(tmp_path: Path) -> list[ScoredVideo]:
    """Twelve reals, of which two are called fake, and four fakes, of which one is called real."""
    rows = [(f"set/v{k}", 0, 0.7 if k in (0, 1) else 0.2) for k in range(12)]
    rows += [(f"set/w{k}", 1, (0.9, 0.8, 0.4, 0.6)[k]) for k in range(4)]
    path = tmp_path / "set.csv"
    lines = [f"{video},{label},{score}" for video, label, score in rows]
    path.write_text("video,label,score\n" + "\n".join(lines), encoding="utf-8")
    return read_predictions(path)


def test_a_table_names_subgroups_by_key_or_name(tmp_path: Path, videos: list[ScoredVideo]) -> None:
    path = tmp_path / "people.csv"
    path.write_text(TABLE, encoding="utf-8")
    about = read_subgroups(path)
    assert about["set/v0"] == {"sex": "f", "skin tone": "I"}
    found = parts(videos, about)
    named = {name: [video.video for video in some] for name, some in found.items()}
    assert named["sex: f"] == ["set/v0", "set/v1"]
    assert named["sex: m"] == ["set/v2"]
    assert len(named["sex: unknown"]) == 13  # an empty cell, and videos that the table lacks
    assert named["skin tone: VI"] == ["set/v1", "set/v3"]
    assert not any(name.startswith(("sex", "skin")) for name in parts(videos))


def test_tables_of_something_else_are_refused(tmp_path: Path) -> None:
    for text in ("sex,age\nf,30\n", "video\na\n", ""):
        path = tmp_path / "people.csv"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(DeepfakeError, match="column video"):
            read_subgroups(path)


def test_rates_of_reals_and_fakes_with_their_intervals(videos: list[ScoredVideo]) -> None:
    found = result(videos, names=("false_alarms", "misses"))
    assert found.estimates["false_alarms"].value == pytest.approx(2 / 12)
    assert found.estimates["misses"].value == pytest.approx(1 / 4)
    span = found.estimates["false_alarms"].by_video
    by_hand = wilson(2 / 12, 12, t_quantile(12))  # each video is a unit
    assert (span.low, span.high) == pytest.approx((by_hand.low, by_hand.high))
    assert found.estimates["misses"].by_video.high == pytest.approx(
        wilson(1 / 4, 4, t_quantile(4)).high
    )
    reals = result(videos[:12], names=("auroc", "false_alarms", "misses"))
    assert math.isnan(reals.estimates["misses"].value)
    assert math.isnan(reals.estimates["misses"].by_video.low)
    (table,) = parts_table([reals])
    assert table.rows[0][3:6] == ("12", "0", "–")
    assert table.rows[0][6].startswith("0.167 [0.04")


def test_the_report_tells_subgroups_apart(tmp_path: Path) -> None:
    scores, people = tmp_path / "theirs.csv", tmp_path / "people.csv"
    scored = (0.6, 0.7, 0.3, 0.7)  # two women, real and fake, and two men
    rows = [(k, k % 2, "ffmm"[k % 4], scored[k % 4]) for k in range(40)]
    scores.write_text("video,label,score\n" + "\n".join(f"v{k},{y},{s}" for k, y, _, s in rows))
    people.write_text("video,sex\n" + "\n".join(f"v{k},{sex}" for k, _, sex, _ in rows))
    out = tmp_path / "out"
    options = ["--out", str(out), "--repeats", "5", "--subgroups", str(people)]
    assert main(["report", str(scores), *options]) == 0
    with (out / "results.csv").open() as file:
        found = {(row["part"], row["measure"]): row for row in csv.DictReader(file)}
    assert float(found["sex: f", "false_alarms"]["value"]) == 1  # reals of women score 0.6
    assert float(found["sex: m", "false_alarms"]["value"]) == 0
    assert float(found["sex: m", "false_alarms"]["high_video"]) > 0.2  # ten reals are not many
    assert float(found["sex: f", "misses"]["value"]) == 0
    assert (out / "figures" / "det.png").stat().st_size > 1000
    assert "Reals called fake" in (out / "tables.md").read_text(encoding="utf-8")

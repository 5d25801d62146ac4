"""How checkpoints are compared for the default model."""

import numpy as np
import pytest

from deepfake.aggregation import by_name
from recipes.default_model.finish import fitting_videos
from recipes.default_model.moves import clip_scores
from recipes.default_model.select import COUNTED, mean_auroc, measure, table
from recipes.default_model.sources import Source, Videos, per_video


def videos(scores: list[float], labels: list[int]) -> Videos:
    count = len(scores)
    return Videos(
        label=np.array(labels),
        score=np.array(scores),
        size=np.linspace(50, 300, count),
        sharpness=np.linspace(400, 100, count),
        group=np.array([f"g{k // 2}" for k in range(count)]),
        name=np.array([f"v{k}" for k in range(count)]),
    )


def test_a_video_is_the_person_who_looks_most_fake() -> None:
    source = Source(
        "clips",
        faces=np.zeros((4, 2, 2, 3), np.uint8),
        label=np.array([1, 1, 1, 0]),
        video=np.array(["a", "a", "a", "b"]),
        track=np.array([0, 0, 1, 0]),
        group=np.array(["a", "a", "a", "b"]),
        size=np.array([10.0, 20.0, 60.0, 5.0]),
        sharpness=np.ones(4),
    )
    found = per_video(source, np.array([0.2, 0.2, 0.9, 0.4]), by_name("worst_person"))
    assert found.score.tolist() == pytest.approx([0.9, 0.4])
    assert found.label.tolist() == [1, 0]
    assert found.size.tolist() == [20.0, 5.0]


def test_the_threshold_is_one_for_all_sources_and_keeps_false_alarms_low() -> None:
    perfect = videos([0.1, 0.9] * 10, [0, 1] * 10)
    useless = videos([0.3, 0.3] * 10, [0, 1] * 10)
    rows, threshold = measure({"pairs": perfect, "clips": useless})
    assert [row.auroc for row in rows] == [1.0, 0.5]
    assert threshold == pytest.approx(0.3)
    assert [row.alarms for row in rows] == [0.0, 0.0]
    assert [row.caught for row in rows] == [1.0, 0.0]
    assert mean_auroc(rows)[0] == 0.75
    assert "mean of 2 sources 0.750" in table("a", rows, threshold)


def test_soft_faces_that_are_judged_with_less_certainty_are_told_from_a_shortcut() -> None:
    sure = np.linspace(0.4, 0.1, 10)  # softer and softer
    unsure = videos([score for s in sure for score in (0.5 - s, 0.5 + s)], [0, 1] * 10)
    shortcut = videos([score for s in sure for score in (0.5 - s, 0.5 - s)], [0, 1] * 10)
    rows, _ = measure({"pairs": unsure, "clips": shortcut})
    assert rows[0].sharpness_correlation < -0.9 < 0.9 < rows[0].fake_sharpness_correlation
    assert rows[1].sharpness_correlation < -0.9
    assert rows[1].fake_sharpness_correlation < -0.9


def test_a_source_without_fakes_has_no_auroc_and_does_not_count() -> None:
    rows, _ = measure(
        {"real videos": videos([0.2] * 4, [0] * 4), "pairs": videos([0.1, 0.9], [0, 1])}
    )
    assert np.isnan(rows[0].auroc)
    assert "real videos" not in COUNTED
    assert mean_auroc(rows)[0] == 1.0


def test_of_blends_every_fifth_pair_is_calibrated_on() -> None:
    names = ("pairs", "real videos", "clips", "DFDC crops", "Celeb-DF", "self_blended", "swapped")
    labels, scores = fitting_videos({name: videos([0.1, 0.9] * 10, [0, 1] * 10) for name in names})
    assert len(labels) == len(scores) == 5 * 20 + 2 * 4
    assert sum(labels) == len(labels) // 2


def test_a_clip_has_one_score_under_each_condition() -> None:
    found = {
        "clip": np.array(["a", "a", "b", "b"]),
        "condition": np.array(["as it is", "mirrored"] * 2),
    }
    scores = clip_scores(found, np.array([0.1, 0.2, 0.3, 0.4]))
    assert scores["as it is"] == pytest.approx([0.1, 0.3])
    assert scores["mirrored"] == pytest.approx([0.2, 0.4])

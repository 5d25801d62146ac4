import json
import math
import subprocess
import sys
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepfake.aggregation import RULES, AnyPerson, TopKMean, by_name, person_scores
from deepfake.types import FaceScore
from tests.conftest import REFERENCE


def faces(*people: list[float]) -> list[FaceScore]:
    return [
        FaceScore(score=score, track=track, frame=frame, time_s=frame / 25)
        for track, scores in enumerate(people)
        for frame, score in enumerate(scores)
    ]


def test_rules_agree_with_what_their_authors_code_answered() -> None:
    reference: dict[str, Any] = json.loads((REFERENCE / "aggregation.json").read_text())
    assert set(reference["rules"]) <= set(RULES)
    assert len(reference["cases"]) == 40
    for case in reference["cases"]:
        video = [
            FaceScore(score=score, track=int(track), frame=frame)
            for track, seen in case["identities"].items()
            for frame, score in zip(seen["frames"], seen["scores"], strict=True)
        ]
        for name, expected in case["expected"].items():
            answer = by_name(name)(video)
            if not video:
                assert answer is None
            elif expected == "nan":
                assert answer is not None
                assert 0 <= answer <= 1
            else:
                assert answer == pytest.approx(expected, abs=1e-6), (name, case["id"])


def test_deepware_falls_back_to_the_mean_of_a_person_with_one_face() -> None:
    assert by_name("deepware_identity")(faces([0.5903])) == pytest.approx(0.5903)
    # One confident real: the mean is 0.0071, below the least answer of the rule.
    assert by_name("deepware_identity")(faces([0.0071])) == pytest.approx(0.01)


@pytest.mark.parametrize("name", RULES)
def test_no_judged_face_has_no_score(name: str) -> None:
    assert by_name(name)([]) is None
    assert by_name(name)(faces([math.nan, math.inf])) is None


@pytest.mark.parametrize("name", RULES)
@given(
    people=st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=20), min_size=1, max_size=4),
    seed=st.randoms(use_true_random=False),
)
def test_rules_stay_in_range_and_ignore_order(
    name: str, people: list[list[float]], seed: Random
) -> None:
    video = faces(*people)
    answer = by_name(name)(video)
    assert answer is not None
    assert 0 <= answer <= 1
    seed.shuffle(video)
    assert by_name(name)(video) == pytest.approx(answer, abs=1e-12)


def test_worst_person_is_the_mean_logit_of_the_most_fake_person() -> None:
    # logit(0.8) = -logit(0.2), so the first person is at 0.5; the second stays at 0.6.
    assert by_name("worst_person")(faces([0.8, 0.2], [0.6, 0.6])) == pytest.approx(0.6)
    assert by_name("worst_person")(faces([0.8, 0.2], [0.1])) == pytest.approx(0.5)


def test_saturated_scores_have_finite_logits() -> None:
    assert by_name("mean_logit")(faces([0.0, 1.0])) == pytest.approx(0.5)
    assert by_name("worst_person")(faces([1.0])) == pytest.approx(1.0, abs=1e-6)


def test_noisy_or_by_hand() -> None:
    assert by_name("noisy_or")(faces([0.5, 0.5], [0.2])) == pytest.approx(1 - 0.5 * 0.8)


def test_top_k_mean_by_hand() -> None:
    assert TopKMean(0.25)(faces([0.1, 0.2], [0.3, 0.9])) == pytest.approx(0.9)
    assert TopKMean(0.5)(faces([0.1, 0.2], [0.3, 0.9])) == pytest.approx(0.6)
    with pytest.raises(ValueError, match=r"got 0\.0"):
        TopKMean(0.0)


def test_person_scores_say_who_and_when() -> None:
    first, third = person_scores(
        [*faces([0.9, 0.9, 0.9], [math.nan], [0.2])], by_name("worst_person")
    )
    assert (first.track, first.faces, first.start_s, first.end_s) == (0, 3, 0.0, 0.08)
    assert first.score == pytest.approx(0.9)
    assert (third.track, third.faces) == (2, 1)


def test_unknown_rule_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="worst_person"):
        by_name("magic")


def test_aggregation_needs_no_torch() -> None:
    code = "import deepfake.aggregation, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def anyone(*people: list[float], size: float = 100.0, apart_s: float = 0.5) -> float:
    """Return the score of people of whom faces are seen that far apart."""
    seen = [
        FaceScore(score, track, frame, frame * apart_s, (0.0, 0.0, size, size))
        for track, scores in enumerate(people)
        for frame, score in enumerate(scores)
    ]
    found = AnyPerson()(seen)
    assert found is not None
    return found


def test_someone_alone_with_many_faces_scores_their_mean_logit() -> None:
    assert anyone([0.9] * 200) == pytest.approx(0.9, abs=0.002)
    assert anyone([0.1] * 200) == pytest.approx(0.1, abs=0.002)


def test_the_worst_of_many_has_to_stand_out_more() -> None:
    scores = [anyone([0.9] * 30, *[[0.2] * 30] * others) for others in (0, 1, 3, 9)]
    assert scores == sorted(scores, reverse=True)
    odds = (9 + 9 * 0.25) / 10
    assert scores[-1] == pytest.approx(odds / (1 + odds), abs=0.03)
    assert anyone(*[[0.9] * 30] * 10) == pytest.approx(anyone([0.9] * 30))
    assert anyone(*[[0.1] * 30] * 10) == pytest.approx(anyone([0.1] * 30))


def test_few_and_tiny_faces_and_faces_of_one_moment_say_less() -> None:
    many = anyone([0.95] * 30)
    assert 0.5 < anyone([0.95]) < anyone([0.95] * 3) < many
    assert 0.5 < anyone([0.95] * 3, size=20.0) < anyone([0.95] * 3)
    assert 0.5 < anyone([0.95] * 9, apart_s=0.01) < anyone([0.95] * 9)
    assert anyone([0.05]) > anyone([0.05] * 30)


def test_one_fake_shot_of_a_person_is_not_outvoted_by_their_others() -> None:
    def seen(shots: int) -> list[FaceScore]:
        return [
            FaceScore(0.95 if frame in (8, 9, 10, 11) else 0.1, 0, frame, float(frame), shot=shot)
            for frame in range(32)
            for shot in [0 if shots == 1 or frame < 8 else 1 if frame < 12 else 2]
        ]

    one, three = (AnyPerson()(seen(shots)) for shots in (1, 3))
    assert one is not None
    assert three is not None
    assert one < 0.25
    assert three > 0.6

"""No person and no source video is on two sides, whatever is thrown in."""

import random
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepfake.data.splits.assign import SplitPlan, assign_splits
from deepfake.data.splits.groups import groups, one_per_video
from preprocessing.types import FaceCrop, Label, Split


def crop(
    video: str,
    label: Label | None = 0,
    *,
    who: Sequence[str] = (),
    source: str | None = None,
    method: str | None = None,
    dataset: str = "",
    split: Split | None = None,
) -> FaceCrop:
    return FaceCrop(
        path=f"{video}/0.png",
        video=video,
        track=0,
        frame=0,
        time_s=0.0,
        box=(0, 0, 1, 1),
        score=1.0,
        landmarks=np.zeros((5, 2), np.float32),
        crop_box=(0, 0, 1, 1),
        label=label,
        identities=tuple(who),
        source=source,
        method=method if method is not None else ("fake" if label else "real"),
        dataset=dataset,
        split=split,
    )


def pairs(count: int, dataset: str = "") -> list[FaceCrop]:
    rows = []
    for number in range(count):
        rows.append(crop(f"{dataset}real/{number}", who=[f"p{number}"], dataset=dataset))
        source = rows[-1].video
        rows.append(crop(f"{dataset}fake/{number}", 1, source=source, dataset=dataset))
    return rows


def counts(plan: SplitPlan) -> dict[str, int]:
    return dict(Counter(plan.assignment.values()))


def test_groups_follow_people_and_sources_through_others() -> None:
    rows = [
        crop("a", who=["1"]),
        crop("b", 1, who=["1", "2"]),
        crop("c", who=["2"]),
        crop("d", 1, source="c"),
        crop("e", 1, source="not here"),
        crop("f", 1, source="not here"),
        crop("g", who=["1"], dataset="other data set"),
    ]
    videos = one_per_video(rows)
    assert groups(videos) == [["a", "b", "c", "d"], ["e", "f"], ["g"]]
    assert groups(videos, identities=False) == [["a"], ["b"], ["c", "d"], ["e", "f"], ["g"]]


def test_a_hundred_pairs_are_split_by_fraction() -> None:
    plan = assign_splits(pairs(100))
    assert counts(plan) == {"train": 140, "val": 30, "test": 30}
    assert not plan.leaky
    assert plan.notes == ()
    for number in range(100):
        assert plan.assignment[f"real/{number}"] == plan.assignment[f"fake/{number}"]


def test_videos_of_the_same_footage_stay_together() -> None:
    rows = [crop(f"r{i:02}") for i in range(40)]
    twins = [(f"r{i:02}", f"r{i + 20:02}") for i in range(20)]
    plan = assign_splits(rows, twins=twins)
    assert all(plan.assignment[a] == plan.assignment[b] for a, b in twins)
    assert counts(plan) == {"train": 28, "val": 6, "test": 6}
    rows[0] = crop("r00", split="test")  # what looks like an official test video follows it
    assert assign_splits(rows, twins=twins).assignment["r20"] == "test"


def test_every_method_gets_its_fraction() -> None:
    rows = [crop(f"{method}{i}", 1, method=method) for method in "ABC" for i in range(20)]
    plan = assign_splits(rows, fractions=(0.5, 0.25, 0.25))
    for method in "ABC":
        sides = Counter(side for key, side in plan.assignment.items() if key[0] == method)
        assert sides == {"train": 10, "val": 5, "test": 5}


def test_order_of_rows_changes_nothing_and_the_seed_does() -> None:
    rows = pairs(40)
    plan = assign_splits(rows, seed=3)
    random.Random(0).shuffle(rows)
    assert assign_splits(rows, seed=3) == plan
    assert list(assign_splits(rows, seed=3).assignment) == sorted(plan.assignment)
    assert assign_splits(rows, seed=4) != plan


def test_another_data_set_beside_changes_nothing() -> None:
    alone = assign_splits(pairs(30, "A")).assignment
    both = assign_splits(pairs(30, "A") + pairs(20, "B")).assignment
    assert {key: side for key, side in both.items() if key.startswith("A")} == alone


def test_official_lists_win_and_unlisted_videos_follow() -> None:
    rows = [
        crop("real/0", who=["x"], split="train"),
        crop("real/1", who=["y"], split="val"),
        crop("real/2", who=["z"], split="test"),
        crop("fake/0", 1, source="real/0"),
        crop("fake/1", 1, who=["y"]),
        crop("fake/2", 1, source="real/2", who=["z"]),
        crop("fake/3", 1, who=["x", "z"], source="real/2"),
    ]
    plan = assign_splits(rows)
    assert [plan.assignment[f"real/{i}"] for i in range(3)] == ["train", "val", "test"]
    assert [plan.assignment[f"fake/{i}"] for i in range(4)] == ["train", "val", "test", "test"]


def test_no_test_side_is_made_where_the_official_lists_have_none() -> None:
    rows = [crop(f"r{i}", split="train" if i % 4 else "val") for i in range(40)]
    rows += [crop(f"new{i}") for i in range(20)]
    assert counts(assign_splits(rows)) == {"train": 46, "val": 14}


def test_validation_is_taken_from_an_official_training_list() -> None:
    rows = [crop(f"a{i}", who=[f"{i // 2}"], split="train") for i in range(200)]
    rows += [crop(f"b{i}", split="test") for i in range(50)]
    plan = assign_splits(rows)
    assert counts(plan) == {"train": 164, "val": 36, "test": 50}
    assert all(plan.assignment[f"b{i}"] == "test" for i in range(50))
    assert not plan.leaky
    assert "no validation side" in plan.notes[0]


def test_people_all_linked_are_split_by_source_and_called_leaky() -> None:
    rows = []
    for i in range(20):
        rows.append(crop(f"real/{i}", who=[f"{i}"]))
        rows.append(crop(f"fake/{i}", 1, who=[f"{i}", f"{(i + 1) % 20}"], source=f"real/{i}"))
    plan = assign_splits(rows)
    assert plan.leaky
    assert "same people" in plan.notes[0]
    assert set(plan.assignment.values()) == {"train", "val", "test"}
    for i in range(20):
        assert plan.assignment[f"real/{i}"] == plan.assignment[f"fake/{i}"]


def test_one_big_group_beside_official_lists_trains_and_leaks_nothing() -> None:
    sides: tuple[Split, ...] = ("train", "val", "test")
    rows = [crop(f"{side}{i}", who=[f"{side}{i}"], split=side) for side in sides for i in range(5)]
    rows += [crop(f"actor{i}", who=[f"actor{i}", f"actor{(i + 1) % 5}"]) for i in range(5)]
    plan = assign_splits(rows)
    assert not plan.leaky
    assert {plan.assignment[f"actor{i}"] for i in range(5)} == {"train"}


@pytest.mark.parametrize("count", [1, 2])
def test_two_pairs_train_and_validate_on_the_same_videos(count: int) -> None:
    plan = assign_splits(pairs(count))
    everything = frozenset(plan.assignment)
    assert plan.leaky
    assert plan.videos("train") == plan.videos("val") == plan.videos("test") == everything
    assert "mean nothing" in plan.notes[-1]


def test_three_pairs_are_one_on_each_side() -> None:
    plan = assign_splits(pairs(3))
    assert counts(plan) == {"train": 2, "val": 2, "test": 2}
    assert not plan.leaky


def test_a_test_list_alone_is_only_tested_on() -> None:
    plan = assign_splits([crop(f"t{i}", split="test") for i in range(4)])
    assert (counts(plan), plan.leaky) == ({"test": 4}, False)
    assert plan.videos("train") == frozenset()


def test_zero_fraction_gives_no_side() -> None:
    assert counts(assign_splits(pairs(10), fractions=(0.8, 0.2, 0.0))) == {"train": 16, "val": 4}


def test_nothing_in_gives_nothing() -> None:
    assert assign_splits([]) == SplitPlan({})


@pytest.mark.parametrize("fractions", [(0.7, 0.2, 0.2), (1.2, -0.1, -0.1)])
def test_fractions_that_do_not_add_up(fractions: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        assign_splits([], fractions=fractions)


person = st.integers(0, 25).map(str)
video = st.tuples(
    st.integers(0, 1), st.lists(person, max_size=2), st.one_of(st.none(), st.integers(0, 30))
)


@settings(max_examples=60, deadline=None)
@given(videos=st.lists(video, min_size=1, max_size=40), seed=st.integers(0, 5))
def test_no_link_crosses_unless_the_plan_says_so(
    videos: list[tuple[Label, list[str], int | None]], seed: int
) -> None:
    rows = [
        crop(f"v{i}", label, who=who, source=None if source is None else f"v{source}")
        for i, (label, who, source) in enumerate(videos)
    ]
    plan = assign_splits(rows, seed=seed)
    assert set(plan.assignment) == {row.video for row in rows}
    if not plan.leaky:
        for group in groups(one_per_video(rows)):
            assert len({plan.assignment[key] for key in group}) == 1


def test_a_hundred_thousand_videos_take_seconds() -> None:
    rows = pairs(50_000)
    start = time.process_time()
    plan = assign_splits(rows)
    assert time.process_time() - start < 60
    assert counts(plan) == {"train": 70_000, "val": 15_000, "test": 15_000}

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepfake.data.sampling import (
    EpochSampler,
    balanced_weights,
    clips,
    evenly_by_time,
    partners,
    spread_over_videos,
)
from deepfake.data.table import FaceTable
from preprocessing.crops.manifest import to_table
from preprocessing.types import FaceCrop

Row = Callable[..., FaceCrop]


def table_of(rows: list[FaceCrop]) -> FaceTable:
    return FaceTable.from_manifest(Path("nowhere"), to_table(rows))


def test_crops_spread_over_the_whole_time_not_the_first_ones() -> None:
    time_s = np.arange(100, dtype=np.float32)
    assert evenly_by_time(time_s, 4).tolist() == [12, 37, 62, 87]


def test_spacing_follows_time_not_position() -> None:
    crowded = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 10.0, 20.0], dtype=np.float32)
    assert crowded[evenly_by_time(crowded, 3)].tolist() == pytest.approx([0.4, 10.0, 20.0])


def test_no_crop_is_chosen_twice_and_few_are_all_taken() -> None:
    close = np.array([5.0, 0.0, 0.01, 0.02], dtype=np.float32)
    assert sorted(evenly_by_time(close, 3).tolist()) != []
    assert len(set(evenly_by_time(close, 3).tolist())) == 3
    assert evenly_by_time(close, 9).tolist() == [1, 2, 3, 0]
    assert len(evenly_by_time(np.empty(0, dtype=np.float32), 3)) == 0


def test_two_people_in_the_same_frames_are_both_shown() -> None:
    time_s = np.repeat(np.arange(20, dtype=np.float32), 2)
    track = np.tile(np.array([0, 1], dtype=np.int32), 20)
    chosen = evenly_by_time(time_s, 10, track=track)
    assert np.bincount(track[chosen]).tolist() == [5, 5]


def test_real_and_fake_videos_give_different_numbers_of_crops(row: Row) -> None:
    rows = [row("real/a", t, label=0, time_s=t) for t in range(40)]
    rows += [row("fake/a", t, label=1, time_s=t) for t in range(40)]
    table = table_of(rows)
    chosen = spread_over_videos(table, (30, 9))
    assert np.bincount(table.label[chosen]).tolist() == [30, 9]


def test_clips_are_of_one_track_in_order_of_time(row: Row) -> None:
    rows = [row("v", t, label=0, time_s=t, track=k) for k in range(2) for t in range(7)]
    rows += [row("short", 0, label=1, time_s=0)]
    table = table_of(rows)
    found = clips(table, np.random.default_rng(0).permutation(len(table)), 3)
    assert found.shape == (5, 3)
    for clip in found:
        assert len({(table.video[i], table.track[i]) for i in clip}) == 1
        assert (np.diff(table.time_s[clip]) >= 0).all()
    assert len(np.unique(found[table.video[found[:, 0]] == 0])) == 12  # nothing is shown twice


def test_partner_is_of_the_source_video_at_the_same_time_and_place(row: Row) -> None:
    rows = [row("real/a", t, label=0, time_s=t) for t in range(3)]
    rows += [row("real/b", t, label=0, time_s=t) for t in range(3)]
    rows += [row("fake/b", 0, label=1, time_s=1.9, source="real/b")]
    rows += [row("fake/c", 0, label=1, time_s=1.0, source="real/unknown")]
    table = table_of(rows)
    assert partners(table, np.array([6, 7])).tolist() == [5, -1]


def test_weights_balance_classes_and_temper_data_sets() -> None:
    label = np.array([0] * 90 + [0] * 10 + [1] * 5, dtype=np.int8)
    dataset = np.array([0] * 90 + [1] * 10 + [0] * 5, dtype=np.int32)
    weights = balanced_weights(label, dataset)
    assert weights[label == 1].sum() == pytest.approx(0.5)
    big, small = weights[:90].sum(), weights[90:100].sum()
    assert big + small == pytest.approx(0.5)
    assert big / small == pytest.approx(3.0)  # square root of nine


def test_epoch_is_a_permutation_and_differs_from_the_next() -> None:
    sampler = EpochSampler(20, seed=3)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(draw[2] for draw in first) == list(range(20))
    assert [draw[2] for draw in first] != [draw[2] for draw in second]
    assert {draw[0] for draw in second} == {1}
    assert first == list(EpochSampler(20, seed=3))


def test_processes_share_an_epoch_without_overlap() -> None:
    alone = list(EpochSampler(10, seed=1))
    shares = [list(EpochSampler(10, seed=1, num_replicas=2, rank=rank)) for rank in range(2)]
    assert sorted(shares[0] + shares[1], key=lambda draw: draw[1]) == alone


def test_processes_have_equally_many_steps_when_items_do_not_divide() -> None:
    shares = [list(EpochSampler(7, num_replicas=3, rank=rank)) for rank in range(3)]
    assert [len(share) for share in shares] == [3, 3, 3]
    assert {draw[2] for share in shares for draw in share} == set(range(7))


def test_weighted_epoch_follows_the_weights() -> None:
    weights = np.array([0.0, 1.0, 3.0])
    drawn = np.concatenate(
        [EpochSampler(3, seed=0, weights=weights).order(epoch) for epoch in range(500)]
    )
    assert np.bincount(drawn, minlength=3)[0] == 0
    assert (drawn == 2).mean() == pytest.approx(0.75, abs=0.04)

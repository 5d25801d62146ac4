import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from preprocessing.people.tracking import SeenFace, SeenFrame, cheapest, is_still, link
from preprocessing.types import Detection

ANNA, BEN = np.eye(2, 8, dtype=np.float32)


def face(frame: int, x: float, look: NDArray[np.float32], *, size: float = 50) -> SeenFace:
    landmarks = np.zeros((5, 2), dtype=np.float32)
    box = (x, 10.0, x + size, 10.0 + size)
    crop = np.zeros((1, 1, 3), dtype=np.uint8)
    return SeenFace(Detection(frame, frame / 25, box, 0.99, landmarks), look, crop, box)


def tracks_of(frames: list[SeenFrame]) -> list[list[int]]:
    return [[face.detection.frame for face in person] for person in link(frames)]


def lefts(person: list[SeenFace]) -> list[float]:
    return [face.detection.box[0] for face in person]


def test_two_people_side_by_side() -> None:
    frames = [SeenFrame(k / 25, [face(k, 10, ANNA), face(k, 200, BEN)]) for k in range(5)]
    assert tracks_of(frames) == [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
    first, second = link(frames)
    assert (lefts(first)[0], lefts(second)[0]) == (10, 200)


def test_two_people_who_cross_are_told_apart_by_look() -> None:
    xs = [(0, 120), (30, 90), (60, 60), (90, 30), (120, 0)]
    frames = [SeenFrame(k / 25, [face(k, a, ANNA), face(k, b, BEN)]) for k, (a, b) in enumerate(xs)]
    anna, ben = link(frames)
    assert lefts(anna) == [0, 30, 60, 90, 120]
    assert lefts(ben) == [120, 90, 60, 30, 0]


def test_someone_else_in_the_same_place_is_another_track() -> None:
    frames = [SeenFrame(k / 25, [face(k, 10, ANNA if k < 3 else BEN)]) for k in range(6)]
    assert tracks_of(frames) == [[0, 1, 2], [3, 4, 5]]


def test_a_cut_ends_a_track_and_look_joins_it_again() -> None:
    looks = [ANNA, ANNA, BEN, BEN, ANNA, ANNA]
    frames = [
        SeenFrame(k / 25, [face(k, 10, look)], cut=k in (2, 4)) for k, look in enumerate(looks)
    ]
    assert tracks_of(frames) == [[0, 1, 4, 5], [2, 3]]


def test_pieces_that_look_different_are_joined_by_who_they_are() -> None:
    before = [SeenFrame(k / 25, [face(k, 10, ANNA), face(k, 200, ANNA)]) for k in range(3)]
    after = [SeenFrame(k / 25, [face(k, 10, BEN)], cut=k == 3) for k in range(3, 6)]

    def describe(face: SeenFace) -> NDArray[np.float64]:
        found = face.detection
        return np.array([0.6 if found.frame > 2 else float(found.box[0] == 200), 0.0])

    assert len(link(before + after)) == 3
    left, right = link(before + after, describe)
    assert [face.detection.frame for face in left] == [0, 1, 2]
    # 0.4 away, the other 0.6
    assert [face.detection.frame for face in right] == [0, 1, 2, 3, 4, 5]
    assert len(link(before + after, lambda _: None)) == 3
    assert len(link(before + after[:2], describe)) == 3  # two faces say too little


def test_a_gap_of_missed_frames_is_bridged() -> None:
    frames = [SeenFrame(k / 25, [face(k, 10, ANNA)] if k not in (2, 3) else []) for k in range(6)]
    assert tracks_of(frames) == [[0, 1, 4, 5]]


def test_no_faces_no_tracks() -> None:
    assert link([]) == []
    assert link([SeenFrame(0.0, [])]) == []


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_face_is_in_one_track_and_no_track_has_two_of_a_frame(data: st.DataObject) -> None:
    frames = []
    for k in range(data.draw(st.integers(1, 8))):
        xs = data.draw(st.lists(st.floats(0, 500), max_size=4))
        looks = [data.draw(st.sampled_from([ANNA, BEN])) for _ in xs]
        faces = [face(k, x, look) for x, look in zip(xs, looks, strict=True)]
        frames.append(SeenFrame(k / 25, faces, cut=data.draw(st.booleans())))
    people = link(frames)
    linked = [id(face) for person in people for face in person]
    seen = [id(face) for frame in frames for face in frame.faces]
    assert sorted(linked) == sorted(seen)
    for person in people:
        numbers = [face.detection.frame for face in person]
        assert numbers == sorted(set(numbers))


def test_frames_that_lie_far_apart_do_not_break_a_track_beside_dense_ones() -> None:
    seconds = [0, 60, 120, 180, 181, 182, 183, 184, 185, 240, 300]
    frames = [SeenFrame(float(t), [face(25 * t, 10, ANNA)]) for t in seconds]
    assert tracks_of(frames) == [[25 * t for t in seconds]]


def test_a_picture_is_told_from_a_person_who_hardly_moves() -> None:
    random = np.random.default_rng(0)

    def seen(noise: float, frames: int = 10, every: int = 25) -> list[SeenFace]:
        looks = [ANNA + noise * random.normal(size=8).astype(np.float32) for _ in range(frames)]
        return [face(k * every, 10, look / np.linalg.norm(look)) for k, look in enumerate(looks)]

    assert is_still(seen(0.02))
    assert not is_still(seen(0.2))
    assert not is_still(seen(0.0, frames=3))
    assert not is_still(seen(0.0, every=1))  # 0.4 s: anyone holds still for so long


def test_the_cheapest_pairs_are_those_of_scipy() -> None:
    from scipy.optimize import linear_sum_assignment

    random = np.random.default_rng(0)
    for rows, columns in [(1, 1), (1, 5), (2, 2), (7, 3), (12, 12), (40, 50)]:
        for impossible in (0.0, 0.5, 0.9):
            cost = 3.5 * random.random((rows, columns))
            cost[random.random(cost.shape) < impossible] = 1000.0
            found = cheapest(cost)
            best = cost[linear_sum_assignment(cost)].sum()
            assert sum(cost[pair] for pair in found) == pytest.approx(best)
            assert len({row for row, _ in found}) == len(found) == min(cost.shape)

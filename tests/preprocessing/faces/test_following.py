import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from preprocessing.faces import following
from preprocessing.faces.boxes import iou
from preprocessing.faces.detection import FaceDetector, FaceFollower
from preprocessing.faces.following import BATCH, EVERY, Shot, follow
from preprocessing.faces.mtcnn import MTCNN
from preprocessing.pipeline import Extraction, extract_faces
from preprocessing.types import Box, Detection, Frame, Image, PreprocessOptions

CLIPS = (
    "cvit_samples/aajsqyyjni.mp4",  # one person; others come and go
    "cvit_samples/0048_fake.mp4",
    "mintime_forgerynet/fake_2_faces_1.mp4",
    "mintime_forgerynet/fake_N_faces_0.mp4",  # eight people, small
    "facenet_pytorch_real/video.mp4",  # a crowd that walks
)


class Told:
    """A face detector that is told how many faces each frame, known by its first pixel, has."""

    def __init__(
        self,
        faces: Sequence[int],
        when_followed: Sequence[int] | None = None,
        *,
        speed: float = 0.1,
    ) -> None:
        self.faces = faces
        self.speed = speed
        self.when_followed = faces if when_followed is None else when_followed
        self.full: list[int] = []
        self.followed: list[int] = []
        self.expected: list[Sequence[Box]] = []

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        numbers = [int(image[0, 0, 0]) for image in images]
        self.full += numbers
        return [self.seen(self.faces[number], number) for number in numbers]

    def follow(self, image: Image, expected: Sequence[Box]) -> list[Detection]:
        number = int(image[0, 0, 0])
        self.followed.append(number)
        self.expected.append(expected)
        return self.seen(self.when_followed[number], number)

    def seen(self, count: int, number: int) -> list[Detection]:
        """Return faces side by side, which move; their landmarks tell the frame's number."""
        y, points = number * self.speed, np.full((5, 2), number, np.float32)
        return [Detection(0, 0.0, (9 * k, y, 9 * k + 1, y + 1), 0.99, points) for k in range(count)]


class InFull:
    """A face detector that cannot follow."""

    def __init__(self) -> None:
        self.mtcnn = MTCNN()

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        return self.mtcnn.detect(images)


@pytest.fixture(autouse=True)
def fourth(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Search every fourth frame in full, as the schedules below are written; real ones as ever."""
    if request.node.get_closest_marker("realdata") is None:
        monkeypatch.setattr(following, "EVERY", 4)


def shots(count: int, *, spacing_s: float = 0.1, cuts: Iterable[int] = ()) -> list[Shot]:
    images = [np.full((4, 4, 3), number, np.uint8) for number in range(count)]
    return [
        Shot(n, Frame(n, n * spacing_s, image), n in set(cuts)) for n, image in enumerate(images)
    ]


def test_frames_are_let_go_once_their_faces_are_found() -> None:
    images: list[weakref.ref[Image]] = []
    alive: list[int] = []

    def read() -> Iterator[Shot]:
        for shot in shots(21):
            alive.append(sum(image() is not None for image in images))
            image = shot.frame.image.copy()
            images.append(weakref.ref(image))
            frame = Frame(shot.number, shot.frame.time_s, image)
            del image
            yield Shot(shot.number, frame)
            del frame

    for _ in follow(read(), Told([1] * 21), 0.9):
        pass
    assert max(alive) <= following.EVERY + 1  # this search's, and the last one


def test_most_frames_are_followed() -> None:
    detector = Told([1] * 11)
    conforming: FaceFollower = detector
    found = list(follow(shots(11), conforming, 0.95))
    assert detector.full == [0, 4, 8, 10]  # every fourth, and the last
    assert detector.followed == [1, 2, 3, 5, 6, 7, 9]
    assert [sight.shot.number for sight in found] == list(range(11))
    assert [sight.faces[0].landmarks[0, 0] for sight in found] == list(range(11))
    # of the frames in full before and after, and of the one just before
    assert len(detector.expected[1]) == 3


def test_a_face_astray_is_searched_for() -> None:
    detector = Told([2] * 9, [2, 2, 1, 2, 2, 3, 2, 2, 2])
    faces = [len(sight.faces) for sight in follow(shots(9), detector, 0.95)]
    assert faces == [2] * 9
    assert sorted(detector.full) == [0, 2, 4, 5, 8]


def test_where_faces_come_and_go_the_halves_are_looked_at() -> None:
    detector = Told([1, 1, 1, 2, 2, 2, 2, 2, 2])
    faces = [len(sight.faces) for sight in follow(shots(9), detector, 0.95)]
    assert faces == detector.faces
    assert detector.full == [0, 4, 2, 3, 8]
    assert detector.followed == [1, 5, 6, 7]


def test_doubtful_faces_do_not_count() -> None:
    detector = Told([0, 0, 0, 0, 3, 3, 3, 3, 3])
    list(follow(shots(9), detector, 0.999))
    assert detector.full == [0, 4, 8]


def test_a_scene_is_searched_in_full_on_both_sides_of_a_cut() -> None:
    detector = Told([1] * 13)
    list(follow(shots(13, cuts=[7]), detector, 0.95))
    assert sorted(detector.full) == [0, 4, 6, 7, 8, 12]


def test_frames_far_apart_are_searched_in_full() -> None:
    detector = Told([1] * 9)
    list(follow(shots(9, spacing_s=0.8), detector, 0.95))
    assert detector.followed == [1, 3, 5, 7]
    detector = Told([1] * 9)
    list(follow(shots(9, spacing_s=1.1), detector, 0.95))
    assert detector.followed == []


def test_full_searches_are_no_longer_apart_than_they_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At half a second from frame to frame every fourth, though every sixth would do: 2 s."""
    monkeypatch.setattr(following, "EVERY", 6)
    detector = Told([1] * 13)
    list(follow(shots(13, spacing_s=0.5), detector, 0.95))
    assert detector.full == [0, 4, 8, 12]
    assert len(detector.followed) == 9


def test_faces_that_move_far_are_searched_in_full() -> None:
    detector = Told([1] * 9, speed=0.6)  # more than twice their side from one to the next in full
    list(follow(shots(9), detector, 0.95))
    assert detector.followed == [1, 3, 5, 7]


@pytest.mark.parametrize(("pixels", "followed"), [(16, []), (48, [1, 2, 4, 5, 7, 8])])
def test_few_large_frames_are_held(
    monkeypatch: pytest.MonkeyPatch, pixels: int, followed: list[int]
) -> None:
    monkeypatch.setattr(following, "MAX_PIXELS", pixels)
    detector = Told([1] * 10)
    held = 0

    def counted() -> Iterable[Shot]:
        nonlocal held
        for shot in shots(10):
            held += 1
            yield shot

    for _ in follow(counted(), detector, 0.95):
        held -= 1
        assert held <= pixels // 16
    assert detector.followed == followed


@pytest.mark.parametrize("count", range(EVERY + 3))
def test_any_number_of_frames(count: int) -> None:
    detector = Told([1] * count)
    assert len(list(follow(shots(count), detector, 0.95))) == count


def by_place(extraction: Extraction) -> dict[tuple[int, int], Detection]:
    return {(face.track, face.detection.frame): face.detection for face in extraction.faces}


@pytest.mark.realdata
@pytest.mark.parametrize("name", CLIPS)
def test_real_faces_are_those_of_a_full_search(shared_data: Path, name: str) -> None:
    """No person or face lost or gained, in the same tracks, at the same place."""
    clip, options = shared_data / "clips" / name, PreprocessOptions(frames=13)
    full: FaceDetector = InFull()
    expected = by_place(extract_faces(clip, options, full, end_s=4.0))
    found = by_place(extract_faces(clip, options, MTCNN(), end_s=4.0))
    assert found.keys() == expected.keys()
    assert found
    overlaps = []
    for place, face in found.items():
        other = expected[place]
        overlaps.append(float(iou(np.array([face.box]), np.array([other.box]))[0, 0]))
        width = other.box[2] - other.box[0]
        assert np.abs(face.landmarks - other.landmarks).max() < 0.03 * width
    assert min(overlaps) >= 0.9
    assert np.mean(overlaps) >= 0.97


def test_a_detector_that_cannot_follow_gets_many_frames_at_once() -> None:
    class Counting:
        def __init__(self) -> None:
            self.given: list[int] = []

        def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
            self.given.append(len(images))
            return [
                [Detection(0, 0.0, (0, 0, 1, 1), 0.9, np.zeros((5, 2), np.float32))] for _ in images
            ]

    detector = Counting()
    found = list(follow(shots(BATCH + 5), detector, 0.95))
    assert [sight.shot.number for sight in found] == list(range(BATCH + 5))
    assert detector.given == [1, BATCH, 4]

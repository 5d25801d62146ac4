"""From detections in single frames to one track per person.

Within a scene, faces are assigned from frame to frame by position and look, all at once (Kuhn,
1955). A cut ends every track. Pieces of one person, before and after a cut or a gap, are joined by
their look where it is alike enough, and by a description of who they are where there is one;
otherwise one person stays in two tracks, which does no harm to a verdict, while two people in one
track would.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.types import Box, Detection, Image

NEAR = 0.8  # face sizes that a face moves between two frames while any look will do
FAR = 2.5  # and at most
ALIKE = 0.55  # look needed beyond NEAR; two people on our clips reach 0.5 in 95 % of frames
UNLIKE = 0.15  # below this it is someone else even in the same place
SAME_PERSON = 0.8  # look needed to join pieces; at 0.72 two people of a dark scene were joined
SAME_DESCRIPTION = 0.55  # and the distance; on two clips one person reached 0.54, two began at 0.62
DESCRIBED = 5  # faces of a piece that are described
ENOUGH = 3  # descriptions that a piece needs to be joined; single blurred faces resemble anyone
STILL = 0.96  # median likeness of a face to itself; of pasted photographs 0.99, of people 0.89
MOST_LOOKS = 200  # that are compared with each other
STILL_S = 1.0  # in which one moves
STILL_FACES = 4
GROWTH = 1.8  # ratio of sizes between two frames
GAP_S = 1.0  # a track ends after this long without a face,
GAP_FRAMES = 2  # unless no more frames than these were looked at since: they may lie far apart
IMPOSSIBLE = 1000.0  # a cost above all the others of a frame together


@dataclass(frozen=True, eq=False)
class SeenFace:
    """A detection, how it looks (a unit vector from `look_of`), and its crop with its region."""

    detection: Detection
    look: NDArray[np.float32]
    crop: Image
    region: Box


@dataclass(frozen=True, eq=False)
class SeenFrame:
    """The faces of one frame, and whether a new scene starts with it."""

    time_s: float
    faces: Sequence[SeenFace]
    cut: bool = False


def is_still(faces: Sequence[SeenFace]) -> bool:
    """Tell whether a face has no motion of its own: aligned, it looks the same at all times."""
    if len(faces) < STILL_FACES:
        return False
    if faces[-1].detection.time_s - faces[0].detection.time_s < STILL_S:
        return False
    some = np.linspace(0, len(faces) - 1, min(len(faces), MOST_LOOKS)).astype(int)
    looks = np.stack([faces[i].look for i in some])
    likeness = np.einsum("id,jd->ij", looks, looks)  # without threads, which outlive signals
    return bool(median(likeness[np.triu_indices(len(looks), 1)].tolist()) >= STILL)


@dataclass
class _Piece:
    faces: list[SeenFace] = field(default_factory=list)
    frame: int = 0  # of those looked at, the last that shows it

    @property
    def last(self) -> SeenFace:
        return self.faces[-1]


Describe = Callable[[SeenFace], NDArray[np.float64] | None]


def link(frames: Sequence[SeenFrame], describe: Describe | None = None) -> list[list[SeenFace]]:
    """Link faces of increasing frames; return those of each person, by first appearance.

    Args:
        frames: What was seen.
        describe: Gives a vector of who a face is, close to that of the same person elsewhere; or
            None where the face is too small to tell.
    """
    pieces = _join(_link_scenes(frames), _likeness, SAME_PERSON)
    if describe is not None and len(pieces) > 1:
        pieces = _join(pieces, _described(describe), -SAME_DESCRIPTION)
    people = [piece.faces for piece in pieces]
    return sorted(people, key=lambda faces: (faces[0].detection.frame, faces[0].detection.box))


def _link_scenes(frames: Sequence[SeenFrame]) -> list[_Piece]:
    ended: list[_Piece] = []
    active: list[_Piece] = []
    for number, frame in enumerate(frames):
        lost = [
            frame.cut
            or (
                frame.time_s - piece.last.detection.time_s > GAP_S
                and number - piece.frame > GAP_FRAMES
            )
            for piece in active
        ]
        ended += [piece for piece, over in zip(active, lost, strict=True) if over]
        active = [piece for piece, over in zip(active, lost, strict=True) if not over]
        taken = _assign(active, frame.faces)
        for place, face in enumerate(frame.faces):
            if place not in taken:
                active.append(_Piece())
            piece = active[taken.get(place, -1)]
            piece.faces.append(face)
            piece.frame = number
    return ended + active


def _assign(pieces: Sequence[_Piece], faces: Sequence[SeenFace]) -> dict[int, int]:
    """Return which piece each face goes on with: face number -> piece number."""
    if not pieces or not faces:
        return {}
    cost = np.array([[_cost(piece.last, face) for face in faces] for piece in pieces])
    return {face: piece for piece, face in cheapest(cost) if cost[piece, face] < IMPOSSIBLE}


def cheapest(cost: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return the pairs (row, column) of least cost together, one for each of the fewer side.

    As earth that is moved between piles of 1 each, by OpenCV: scipy would add 140 MB.

    Args:
        cost: (rows, columns), both at least 1.
    """
    first, second = (np.ones((count, 1), np.float32) for count in cost.shape)
    flow = cv2.EMD(first, second, cv2.DIST_USER, cost.astype(np.float32))[2]
    return [(int(row), int(column)) for row, column in np.argwhere(flow > 0.5)]


def _cost(before: SeenFace, after: SeenFace) -> float:
    a, b = np.asarray(before.detection.box), np.asarray(after.detection.box)
    size_a, size_b = float((a[2:] - a[:2]).max()), float((b[2:] - b[:2]).max())
    if max(size_a, size_b) > GROWTH * max(min(size_a, size_b), 1.0):
        return IMPOSSIBLE
    moved = float(np.linalg.norm((a[:2] + a[2:] - b[:2] - b[2:]) / 2)) / max(size_a, size_b)
    alike = float(before.look @ after.look)
    if moved > FAR or alike < UNLIKE or (moved > NEAR and alike < ALIKE):
        return IMPOSSIBLE
    return moved + (1.0 - alike)


def _join(
    pieces: list[_Piece], likeness_of: Callable[[_Piece, _Piece], float], least: float
) -> list[_Piece]:
    """Join the most alike pieces that never show at the same time, until none is alike enough."""
    pieces = sorted(pieces, key=lambda piece: piece.faces[0].detection.frame)
    likeness = np.full((len(pieces), len(pieces)), -np.inf)

    def compare(i: int, j: int) -> None:
        apart = not _overlap(pieces[i], pieces[j])
        alike = likeness_of(pieces[i], pieces[j]) if apart else -np.inf
        likeness[i, j] = likeness[j, i] = alike

    for i in range(len(pieces)):
        for j in range(i):
            compare(i, j)
    alive = [True] * len(pieces)
    while len(pieces) > 1:
        best = divmod(int(likeness.argmax()), len(pieces))
        if likeness[best] < least:
            break
        i, j = sorted(best)
        merged = sorted(pieces[i].faces + pieces[j].faces, key=lambda f: f.detection.frame)
        pieces[i], alive[j] = _Piece(merged), False
        likeness[j, :] = likeness[:, j] = -np.inf
        for k in np.flatnonzero(alive):
            if k != i:
                compare(i, int(k))
    return [piece for piece, living in zip(pieces, alive, strict=True) if living]


def _overlap(a: _Piece, b: _Piece) -> bool:
    frames = {face.detection.frame for face in a.faces}
    return any(face.detection.frame in frames for face in b.faces)


def _likeness(a: _Piece, b: _Piece) -> float:
    """Return the mean of the best matches of the shorter piece's looks."""
    looks_a = np.stack([face.look for face in a.faces])
    looks_b = np.stack([face.look for face in b.faces])
    alike = looks_a @ looks_b.T
    return float(alike.max(axis=int(len(looks_a) <= len(looks_b))).mean())


def _described(describe: Describe) -> Callable[[_Piece, _Piece], float]:
    """Return what compares pieces by descriptions of a few of their faces, each made once."""
    known = cache(describe)

    def some(piece: _Piece) -> list[NDArray[np.float64]]:
        count = len(piece.faces)
        chosen = np.linspace(0, count - 1, min(DESCRIBED, count)).round().astype(int)
        found = [known(piece.faces[k]) for k in chosen]
        return [description for description in found if description is not None]

    def likeness(a: _Piece, b: _Piece) -> float:
        """Return the mean distance between their faces, negative; -inf where one has too few."""
        of_a, of_b = some(a), some(b)
        if min(len(of_a), len(of_b)) < ENOUGH:
            return -np.inf
        apart = np.stack(of_a)[:, None] - np.stack(of_b)[None]
        return -float(np.linalg.norm(apart, axis=2).mean())

    return likeness

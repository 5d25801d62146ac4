"""The values that travel from a video to its face crops."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8]  # (H, W, 3), RGB
Box: TypeAlias = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the full frame
Landmarks: TypeAlias = NDArray[np.float32]  # (5, 2): eyes, nose, mouth corners; left ones first
Label: TypeAlias = Literal[0, 1]  # 0 real, 1 fake
Split: TypeAlias = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Video:
    """One video file and what is known about it.

    Args:
        path: The file.
        name: Its name inside the data set, without suffix: the stem, or a relative path.
        dataset: Name of the data set, such as "FaceForensics++".
        method: Manipulation method, such as "Deepfakes"; "real" for unmanipulated videos.
        compression: Such as "c23"; empty where the data set has one only.
        label: 0 real, 1 fake, None unknown.
        identities: The people seen or swapped in, as the data set names them.
        source: Key of the video that a fake was made from.
        split: Official split, where there is one.
    """

    path: Path
    name: str
    dataset: str = ""
    method: str = ""
    compression: str = ""
    label: Label | None = None
    identities: tuple[str, ...] = ()
    source: str | None = None
    split: Split | None = None

    @property
    def key(self) -> str:
        """Identify the video: dataset/method/compression/name, without the parts not known.

        The stem alone would not do: FaceForensics++ has the same one under every manipulation.
        """
        parts = (self.dataset, self.method, self.compression, self.name)
        return "/".join(part for part in parts if part)


@dataclass(frozen=True)
class Frame:
    """A decoded frame: its number in presentation order, its time in seconds, its pixels."""

    index: int
    time_s: float
    image: Image


@dataclass(frozen=True)
class VideoInfo:
    """What the container says of a video, and what is really in it.

    Args:
        width: Width as stored, before rotation and stretching, in pixels.
        height: Height as stored, in pixels.
        fps: Mean frame rate, in frames per second.
        duration_s: From the first to the end of the last frame present, in seconds.
        codec: Such as "h264".
        pixel_format: Such as "yuv420p".
        bit_rate: Of the whole file, in bits per second.
        file_bytes: Size of the file.
        frames: Frames present.
        declared_frames: Frames that the header promises; 0 where it does not say.
        complete: Share of what the header promises that is in the file, in [0, 1].
    """

    width: int
    height: int
    fps: float
    duration_s: float
    codec: str
    pixel_format: str
    bit_rate: int
    file_bytes: int
    frames: int
    declared_frames: int
    complete: float = 1.0


@dataclass
class ReadReport:
    """What happened while reading: counts, filled in as frames come.

    Args:
        wanted: Frames asked for.
        read: Frames given.
        corrupt: Frames not given: damaged, or made of frames that could not be decoded.
        errors: Packets that the decoder refused.
    """

    wanted: int = 0
    read: int = 0
    corrupt: int = 0
    errors: int = 0

    @property
    def fraction(self) -> float:
        """Share of the frames asked for that could be read, in [0, 1]."""
        return self.read / self.wanted if self.wanted else 0.0


@dataclass(frozen=True, eq=False)
class FrameIndex:
    """The frames of a video in the order shown, and what must be decoded for each.

    Packets are numbered in the order of the file, which is the order of decoding.

    Args:
        info: What is known of the video.
        times_s: When each frame is shown, in seconds from where the file starts; increasing.
        packets: The packet of each frame.
        begins: For each packet, the one from which to decode; -1 where nothing that came before
            lets it be decoded whole.
        corrupt: Packets of which bytes are missing.
        seconds: Packets that hold the second field of the picture that the one before began.
        counted: Only the order in which the decoder gives frames tells their times.
        parts: First packet of each stretch of one clock.
        origins_s: What the clock of each part shows at second 0.
        is_picture: A photograph, or an animation that Pillow reads.
        still: The photograph.
        sizes: Of each packet, in bytes; none of a picture.
    """

    info: VideoInfo
    times_s: NDArray[np.float64]
    packets: NDArray[np.int64]
    begins: NDArray[np.int64]
    corrupt: frozenset[int] = frozenset()
    seconds: frozenset[int] = frozenset()
    counted: bool = False
    parts: tuple[int, ...] = (0,)
    origins_s: tuple[float, ...] = (0.0,)
    is_picture: bool = False
    still: Image | None = None
    sizes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def keys(self) -> NDArray[np.int64]:
        """Return the positions of the frames that are decoded without others."""
        return np.flatnonzero(self.begins[self.packets] == self.packets)


@dataclass(frozen=True, eq=False)
class Detection:
    """A face in one frame.

    Args:
        frame: Number of the frame.
        time_s: Presentation time, in seconds.
        box: Corners (x0, y0, x1, y1) in pixels of the full frame; may reach outside it.
        score: Probability of a face, in [0, 1].
        landmarks: Eyes, nose and mouth corners (5, 2), in pixels of the full frame.
    """

    frame: int
    time_s: float
    box: Box
    score: float
    landmarks: Landmarks


@dataclass(frozen=True)
class Track:
    """One person's detections through time, at most one a frame, in time order.

    A still one has no motion of its own, as a poster or a photograph on a wall.
    """

    id: int
    detections: tuple[Detection, ...]
    still: bool = False


@dataclass(frozen=True, eq=False)
class Face:
    """A detection with its crop in memory.

    Args:
        track: Number of the track in its video.
        detection: Where the face is in the frame.
        image: The crop (S, S, 3), RGB.
        crop_box: The region of the frame that the crop shows, in pixels of the full frame.
    """

    track: int
    detection: Detection
    image: Image
    crop_box: Box


@dataclass(frozen=True, eq=False)
class FaceCrop:
    """One row of the manifest: a crop on disk and where it came from.

    Args:
        path: File of the crop, relative to the manifest's folder, with forward slashes.
        video: Key of the video; `label` and what follows is known of it, see `Video`.
        track: Number of the track in its video.
        frame: Number of the frame; this, `time_s`, `box`, `score`, `landmarks`: see `Detection`.
        crop_box: The region of the frame that the crop shows, in pixels of the full frame.
    """

    path: str
    video: str
    track: int
    frame: int
    time_s: float
    box: Box
    score: float
    landmarks: Landmarks
    crop_box: Box
    label: Label | None = None
    identities: tuple[str, ...] = ()
    source: str | None = None
    method: str = ""
    compression: str = ""
    dataset: str = ""
    split: Split | None = None


@dataclass(frozen=True)
class PreprocessOptions:
    """What decides which crops a video gives. Travels inside checkpoints.

    Args:
        frames: Frames per video, evenly spaced over its whole duration.
        margin: Added on each side of the face, as a fraction of the face's side.
        inside: Whether a square that is larger than its picture shrinks to it instead of reaching
            out into black: of "stills" (a photograph ends close to the face, the frame of a video
            does not) or "always".
        crop: "square" around the face's centre, "box" for the bare rectangle with margin,
            "aligned" for a similarity transform of the five landmarks.
        crop_size: Largest side of a stored crop, in pixels; smaller ones are not enlarged.
        image_format: File format of the stored crops.
        thresholds: MTCNN's three thresholds on the face probability.
        min_face_size: Smallest face searched for, in pixels of the full frame; None chooses it
            from the size of the frame.
        min_score: Faces below this probability are dropped.
    """

    frames: int = 32
    margin: float = 0.3
    inside: Literal["stills", "always"] = "stills"
    crop: Literal["square", "box", "aligned"] = "square"
    crop_size: int = 400
    image_format: Literal["png", "jpg"] = "png"
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7)
    min_face_size: int | None = None
    min_score: float = 0.95
    version: int = field(default=1)

    def __post_init__(self) -> None:
        wrong = [
            name
            for name, right in (
                ("frames", _is_count(self.frames)),
                ("margin", _is_within(self.margin, 0, 4)),
                ("inside", self.inside in ("stills", "always")),
                ("crop", self.crop in ("square", "box", "aligned")),
                ("crop_size", _is_count(self.crop_size)),
                ("image_format", self.image_format in ("png", "jpg")),
                ("min_face_size", self.min_face_size is None or _is_count(self.min_face_size)),
                ("min_score", _is_within(self.min_score, 0, 1)),
            )
            if not right
        ]
        if wrong:
            found = ", ".join(f"{name} {getattr(self, name)!r}" for name in wrong)
            raise ValueError(f"options that cannot be right: {found}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10_000_000


def _is_within(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and low <= value <= high

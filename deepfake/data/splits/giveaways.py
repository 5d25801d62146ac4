"""Labels that a property of the file gives away without a look at any face."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median

import numpy as np
from numpy.typing import NDArray

from deepfake.evaluation.measures import auroc
from preprocessing.crops.manifest import VideoRecord

STRONG = 0.75  # AUROC from which a property alone counts as a shortcut
DEVIATIONS = 3.0  # standard errors above chance that it must lie too
MANY, RARE = 5, 0.02  # values of fewer videos, or of a smaller share of them, are taken together

NUMBERS: dict[str, Callable[[VideoRecord], float]] = {
    "file size": lambda record: record.info.file_bytes,
    "bit rate": lambda record: record.info.bit_rate,
    "duration": lambda record: record.info.duration_s,
    "number of pixels": lambda record: record.info.width * record.info.height,
    "frame rate": lambda record: record.info.fps,
    "crop size": lambda record: _crop_size(record),
}
KINDS: dict[str, Callable[[VideoRecord], Hashable]] = {
    "resolution": lambda record: (record.info.width, record.info.height),
    "frame rate, as a kind": lambda record: round(record.info.fps, 2),
    "codec": lambda record: record.info.codec,
    "pixel format": lambda record: record.info.pixel_format,
    "file suffix": lambda record: record.video.path.suffix.lower(),
    "data set": lambda record: record.video.dataset,
    "compression": lambda record: record.video.compression,
}


@dataclass(frozen=True)
class Shortcut:
    """How well one property of the file tells real from fake.

    Args:
        name: The property.
        auroc: Area under the ROC curve of the property alone, in [0.5, 1].
        error: Its standard error where the property says nothing.
    """

    name: str
    auroc: float
    error: float

    @property
    def strong(self) -> bool:
        """Say whether a network could score well by it, beyond what chance gives."""
        return self.auroc >= STRONG and self.auroc - 0.5 > DEVIATIONS * self.error


def shortcuts(records: Sequence[VideoRecord]) -> list[Shortcut]:
    """Return every property's AUROC for the label, the strongest first.

    A property that sorts (file size) is tried in either direction, a kind (codec) by the share of
    fakes that has it. Empty where there are not two videos of each label.
    """
    known = [record for record in records if record.video.label is not None and record.faces]
    labels = np.array([record.video.label for record in known])
    fakes = int(labels.sum())
    reals = len(labels) - fakes
    if min(fakes, reals) < 2:
        return []
    # Mann and Whitney, 1947: the deviation of the rank statistic without any effect.
    error = sqrt((fakes + reals + 1) / (12 * fakes * reals))
    found = []
    for name, number in NUMBERS.items():
        area = auroc(labels, [number(record) for record in known])
        found.append(Shortcut(name, max(area, 1 - area), error))
    for name, kind in KINDS.items():
        area = _auroc_of_kind([kind(record) for record in known], labels)
        found.append(Shortcut(name, max(area, 0.5), error))
    return sorted(found, key=lambda shortcut: (-shortcut.auroc, shortcut.name))


def _crop_size(record: VideoRecord) -> float:
    """Return the median side of the region that a crop shows, in pixels of the frame."""
    return median(face.crop_box[3] - face.crop_box[1] for face in record.faces)


def _auroc_of_kind(kinds: Sequence[Hashable], labels: NDArray[np.int64]) -> float:
    """Score each half of the videos by the share of fakes that its kinds have in the other half.

    Shares counted on the same videos would tell chance apart: a kind that one video has is pure.
    """
    counts = Counter(kinds)
    least = max(MANY, RARE * len(kinds))
    merged = [kind if counts[kind] >= least else None for kind in kinds]
    half = np.empty(len(labels), dtype=np.int64)
    for label in (0, 1):
        half[labels == label] = np.arange(np.count_nonzero(labels == label)) % 2
    areas = []
    for scored in (0, 1):
        pairs = [(k, y) for k, y, h in zip(merged, labels, half, strict=True) if h != scored]
        totals = Counter(kind for kind, _ in pairs)
        fakes = Counter(kind for kind, label in pairs if label == 1)
        inside = [k for k, h in zip(merged, half, strict=True) if h == scored]
        mean = fakes.total() / max(totals.total(), 1)
        scores = [fakes[kind] / totals[kind] if totals[kind] else mean for kind in inside]
        areas.append(auroc(labels[half == scored], scores))
    return float(np.mean(areas))

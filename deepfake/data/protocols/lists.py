"""A protocol's list of videos, what of it a folder of crops has, and what is shipped.

A file is a CSV of video, label and split under a first line `# NAME VERSION`; its hash is that of
its sorted rows, so that a table that names both says exactly what was measured.
"""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from deepfake.errors import DeepfakeError
from preprocessing.types import Split

Entry = tuple[int, str]  # label, split
PAIRS = Path(__file__).with_name("ffpp_pairs.csv")
# FaceShifter came later and is in no published table.
METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
SHIPPED = ("ffpp-c23", "ffpp-c40", "ffpp-raw")
VERSION = "1"


class ProtocolError(DeepfakeError):
    """A protocol that is not known, or a file of one that is damaged."""


@dataclass(frozen=True)
class Protocol:
    """A list of videos that are measured together.

    Args:
        name: Such as "ffpp-c23".
        version: Changes with the list.
        videos: Label and split of each video, by key.
    """

    name: str
    version: str
    videos: Mapping[str, Entry]

    @property
    def sha256(self) -> str:
        """Hash of the sorted rows."""
        entries = sorted(self.videos.items())
        rows = "".join(f"{key},{label},{split}\n" for key, (label, split) in entries)
        return hashlib.sha256(rows.encode()).hexdigest()

    def __str__(self) -> str:
        """Return name, version and the beginning of the hash."""
        return f"{self.name} {self.version} ({self.sha256[:8]})"

    def of(self, split: str | None) -> dict[str, Entry]:
        """Return the videos of one side; all of them without one."""
        return {key: entry for key, entry in self.videos.items() if split in (None, entry[1])}

    def write(self, path: Path) -> None:
        """Write the file that `find_protocol` reads."""
        with path.open("w", encoding="utf-8", newline="") as file:
            file.write(f"# {self.name} {self.version}\n")
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("video", "label", "split"))
            writer.writerows((key, *entry) for key, entry in sorted(self.videos.items()))


@dataclass(frozen=True)
class Verified:
    """What a folder has of a protocol, each as sorted keys."""

    have: Sequence[str]
    missing: Sequence[str]
    extra: Sequence[str]
    label_differs: Sequence[str]

    @property
    def complete(self) -> bool:
        """True where nothing is missing and no label differs; what is extra does no harm."""
        return not self.missing and not self.label_differs


def verify(
    protocol: Protocol, labels: Mapping[str, int | None], *, split: str | None = None
) -> Verified:
    """Compare a protocol with the labels of the videos of a folder, by key."""
    wanted = protocol.of(split)
    both = sorted(wanted.keys() & labels.keys())
    return Verified(
        have=[key for key in both if labels[key] == wanted[key][0]],
        missing=sorted(wanted.keys() - labels.keys()),
        extra=sorted(labels.keys() - protocol.videos.keys()),
        label_differs=[key for key in both if labels[key] != wanted[key][0]],
    )


def find_protocol(name: str) -> Protocol:
    """Return a shipped protocol by its name, or that of a file.

    Raises:
        ProtocolError: There is none, or it is damaged; the message says what is there.
    """
    if name in SHIPPED:
        return _faceforensics(name)
    path = Path(name)
    if not path.is_file():
        raise ProtocolError(
            f"No protocol {name}. Shipped are {', '.join(SHIPPED)}; `python -m deepfake.data "
            "protocol FOLDER --out FILE.csv` writes one of the videos of a folder."
        )
    return _read(path)


def _read(path: Path) -> Protocol:
    try:
        head, _, rest = path.read_text("utf-8").partition("\n")
    except UnicodeDecodeError as error:
        raise ProtocolError(f"{path} is no protocol: {error.reason}.") from error
    mark, _, title = head.partition(" ")
    name, _, version = title.strip().rpartition(" ")
    if mark != "#" or not name:
        raise ProtocolError(f"{path} is no protocol: its first line must be `# NAME VERSION`.")
    videos: dict[str, Entry] = {}
    for number, row in enumerate(csv.DictReader(io.StringIO(rest)), start=3):
        key, label, split = (row.get(column) or "" for column in ("video", "label", "split"))
        if not key or key in videos or label not in ("0", "1") or split not in get_args(Split):
            raise ProtocolError(
                f"{path}, line {number}: expected a video that is listed once, label 0 or 1 and a "
                f"split of {', '.join(get_args(Split))}; found {key!r}, {label!r}, {split!r}."
            )
        videos[key] = (int(label), split)
    if not videos:
        raise ProtocolError(f"{path} lists no video.")
    return Protocol(name, version, videos)


def _faceforensics(name: str) -> Protocol:
    """Return the official split of FaceForensics++ at one compression, from its list of pairs."""
    compression = name.rpartition("-")[2]
    videos: dict[str, Entry] = {}
    with PAIRS.open(encoding="ascii") as file:
        for row in csv.DictReader(file):
            for target, source in ((row["a"], row["b"]), (row["b"], row["a"])):
                videos[f"FaceForensics++/real/{compression}/{target}"] = (0, row["split"])
                for method in METHODS:
                    key = f"FaceForensics++/{method}/{compression}/{target}_{source}"
                    videos[key] = (1, row["split"])
    return Protocol(name, VERSION, videos)

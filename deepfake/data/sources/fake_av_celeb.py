"""FakeAVCeleb."""

from collections.abc import Mapping
from pathlib import Path

from deepfake.data.sources.base import OfficialCount, bare, by_key, is_video
from deepfake.data.sources.texts import read_csv
from preprocessing.types import Label, Video
from preprocessing.video.files import walk

# The label is about the picture: a real video with a cloned voice is real here.
FOLDERS: dict[str, Label] = {
    "RealVideo-RealAudio": 0,
    "RealVideo-FakeAudio": 0,
    "FakeVideo-RealAudio": 1,
    "FakeVideo-FakeAudio": 1,
}
REAL = "RealVideo-RealAudio"
NOBODY = frozenset({"", "-"})


class FakeAVCeleb:
    """Khalid et al., NeurIPS 2021, https://arxiv.org/abs/2108.05080.

    `{Real,Fake}Video-{Real,Fake}Audio/RACE/GENDER/PERSON/*.mp4` and `meta_data.csv`. The label is
    about the picture: of RealVideo-FakeAudio only the voice is false, so it counts as real. The
    people are so densely swapped that all of them are one group.
    """

    name = "fake_av_celeb"
    dataset = "FakeAVCeleb"
    layout = "RealVideo-RealAudio/, FakeVideo-FakeAudio/ ... and meta_data.csv"
    official: tuple[OfficialCount, ...] = (
        OfficialCount(1_000, 0),  # 500 with their own voice, 500 with a cloned one
        OfficialCount(20_544, 1),  # 9,709 with the real voice, 10,835 with a cloned one
    )

    def matches(self, root: Path) -> bool:
        """Say whether the folder looks like this data set."""
        return sum((root / name).is_dir() for name in FOLDERS) >= 2

    def videos(self, root: Path) -> list[Video]:
        """Return the videos, sorted by key."""
        rows = _rows(root)
        originals: dict[Path, str] = {}
        found = []
        for folder, label in FOLDERS.items():
            for path in walk(root / folder):
                if not is_video(path):
                    continue
                place = path.relative_to(root)
                video = self._video(
                    path, place, label, rows.get(bare(place.as_posix()), {}), originals
                )
                if folder == REAL:
                    originals.setdefault(_person(place), video.key)
                found.append(video)
        return by_key(found)

    def missing(self, root: Path) -> list[str]:
        """Say which folders and whether the table is not there."""
        lacks = [f"{name}/" for name in FOLDERS if not (root / name).is_dir()]
        if not (root / "meta_data.csv").is_file():
            lacks.append("meta_data.csv: methods and the faces put on are unknown")
        return lacks

    def _video(
        self,
        path: Path,
        place: Path,
        label: Label,
        row: Mapping[str, str],
        originals: Mapping[Path, str],
    ) -> Video:
        folder, rest = place.parts[0], Path(*place.parts[1:]).with_suffix("").as_posix()
        people = (path.parent.name, *(row.get(key, "") for key in ("source", "target1", "target2")))
        method = folder if folder != REAL else "real"
        if label == 1 and row.get("method"):
            method = f"{folder}-{row['method']}"  # one method is used with either voice
        return Video(
            path=path,
            name=rest,
            dataset=self.dataset,
            method=method,
            label=label,
            identities=tuple(dict.fromkeys(who for who in people if who not in NOBODY)),
            source=None if folder == REAL else originals.get(_person(place)),
        )


def _person(place: Path) -> Path:
    """Return RACE/GENDER/PERSON of TYPE/RACE/GENDER/PERSON/file."""
    return Path(*place.parts[1:-1])


def _rows(root: Path) -> dict[str, dict[str, str]]:
    """Return the rows of meta_data.csv by file; the first where a file is listed twice.

    Its column `path` holds the file's name, and the column after it, without a name, the folder.
    """
    table = root / "meta_data.csv"
    if not table.is_file():
        return {}
    header, lines = read_csv(table)
    found: dict[str, dict[str, str]] = {}
    for _, values in lines:
        row = dict(zip(header, map(str.strip, values), strict=False))
        folder = Path(values[-1].replace("\\", "/"))
        place = Path(*[part for part in folder.parts if part != "FakeAVCeleb"])
        found.setdefault(bare((place / row.get("path", "")).as_posix()), row)
    return found

"""FFIW-10K, Face Forensics in the Wild."""

from pathlib import Path

from deepfake.data.sources.base import OfficialCount, by_key, videos_in
from preprocessing.types import Label, Split, Video

SPLITS: tuple[Split, ...] = ("train", "val", "test")
FOLDERS: dict[str, Label] = {"source": 0, "target": 1}


class FFIW:
    """Zhou et al., CVPR 2021, https://arxiv.org/abs/2103.04570.

    `source/{train,val,test}` are real, `target/{train,val,test}` fake, with the files inside or in
    a folder `videos`. Several people are in a video and some of them are real even in a fake. A
    fake of the same file name as a real video of its split counts as made from it; people are not
    named.
    """

    name = "ffiw"
    dataset = "FFIW-10K"
    layout = "source/{train,val,test}/ and target/{train,val,test}/"
    official: tuple[OfficialCount, ...] = (OfficialCount(10_000, 0), OfficialCount(10_000, 1))

    def matches(self, root: Path) -> bool:
        """Say whether the folder looks like this data set."""
        return any(
            (root / "source" / split).is_dir() and (root / "target" / split).is_dir()
            for split in SPLITS
        )

    def videos(self, root: Path) -> list[Video]:
        """Return the videos, sorted by key."""
        found: list[Video] = []
        reals: set[str] = set()
        for folder, label in FOLDERS.items():
            for split in SPLITS:
                place = root / folder / split
                for path in (*videos_in(place), *videos_in(place / "videos")):
                    name = f"{split}/{path.stem}"
                    source = f"{self.dataset}/real/{name}"
                    if label == 0:
                        reals.add(source)
                    video = Video(
                        path=path,
                        name=name,
                        dataset=self.dataset,
                        method=("real", "fake")[label],
                        label=label,
                        source=source if label == 1 and source in reals else None,
                        split=split,
                    )
                    found.append(video)
        return by_key(found)

    def missing(self, root: Path) -> list[str]:
        """Say which folders are not there."""
        return [
            f"{folder}/{split}/"
            for folder in FOLDERS
            for split in SPLITS
            if not (root / folder / split).is_dir()
        ]

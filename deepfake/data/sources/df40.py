"""DF40: forty manipulation methods on the videos of other data sets."""

from pathlib import Path

from deepfake.data.sources.base import OfficialCount, by_key, is_video, names_for
from preprocessing.types import Label, Split, Video
from preprocessing.video.files import walk

# Methods that make videos, as the folders are named; the others make images.
METHODS = frozenset(
    {
        *("fsgan", "faceswap", "simswap", "inswap", "blendface", "uniface", "mobileswap", "e4s"),
        *("facedancer", "deepfacelab", "fomm", "facevid2vid", "wav2lip", "mraa", "one_shot_free"),
        *("pirender", "tpsm", "lia", "danet", "dagan", "sadtalker", "mcnet", "hyperreenact"),
        *("heygen",),
    }
)
SPLITS: tuple[Split, ...] = ("train", "test")


class DF40:
    """Yan et al., NeurIPS 2024, https://arxiv.org/abs/2406.13495.

    The original videos: `{train,test}/METHOD/{ff,cdf}/*.mp4`. Below `ff`, `000_003` was made from
    video 000 of FaceForensics++ at c23 with the face of 003; below `cdf`, `id0_id1_0000` from
    id0_0000 of Celeb-DF-v2. Their real videos are in those data sets; a folder `real` is read where
    a method brings its own. Methods that give images only are left out, and so are the authors'
    crops.
    """

    name = "df40"
    dataset = "DF40"
    layout = "{train,test}/METHOD/{ff,cdf}/*.mp4"
    official: tuple[OfficialCount, ...] = ()

    def matches(self, root: Path) -> bool:
        """Say whether the folder looks like this data set."""
        return bool(_methods(root))

    def videos(self, root: Path) -> list[Video]:
        """Return the videos, sorted by key."""
        found = []
        for folder, split in _methods(root):
            paths = [path for path in walk(folder) if is_video(path)]
            for path, name in zip(paths, names_for(paths, folder), strict=True):
                found.append(self._video(path, name, folder.name, split))
        return by_key(found)

    def missing(self, root: Path) -> list[str]:
        """Say which of the two halves is not there."""
        there = {split for _, split in _methods(root)}
        return [f"{split}/" for split in SPLITS if split not in there]

    def _video(self, path: Path, name: str, method: str, split: Split) -> Video:
        folders = name.split("/")[:-1]
        real = "real" in folders
        label: Label = 0 if real else 1
        domain = next((part for part in folders if part in ("ff", "cdf")), "")
        people = path.stem.split("_")
        source = None
        if label == 1 and domain == "ff":
            source = f"FaceForensics++/real/c23/{people[0]}"
        elif label == 1 and domain == "cdf" and len(people) == 3:
            source = f"Celeb-DF-v2/real/{people[0]}_{people[2]}"
            people = people[:2]
        return Video(
            path=path,
            name=f"{method}/{split}/{name}" if real else f"{split}/{name}",
            dataset=self.dataset,
            method="real" if real else method,
            label=label,
            identities=tuple(f"{domain}-{who}" for who in people) if domain else (),
            source=source,
            split=split,
        )


def _methods(root: Path) -> list[tuple[Path, Split]]:
    return [
        (folder, split)
        for split in SPLITS
        if (root / split).is_dir()
        for folder in sorted((root / split).iterdir())
        if folder.is_dir() and folder.name.lower() in METHODS
    ]

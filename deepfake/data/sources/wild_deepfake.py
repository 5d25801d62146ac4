"""WildDeepfake: sequences of face images, packed into videos first."""

from pathlib import Path

from deepfake.data.sources.base import OfficialCount, by_key, is_video, names_for
from deepfake.errors import SourceError
from preprocessing.types import Label, Split, Video
from preprocessing.video.files import walk

FOLDERS: dict[str, tuple[Label, Split]] = {
    "real_train": (0, "train"),
    "real_test": (0, "test"),
    "fake_train": (1, "train"),
    "fake_test": (1, "test"),
}


class WildDeepfake:
    """Zi et al., ACM MM 2020, https://arxiv.org/abs/2101.01456.

    Published as `{real,fake}_{train,test}/N.tar.gz`, each with folders of face images, one folder a
    sequence. Images are not videos: unpack the archives where they are, then write each folder as a
    video by `python -m deepfake.data pack ROOT`. Neither people nor the web videos that
    the sequences come from are named.
    """

    name = "wild_deepfake"
    dataset = "WildDeepfake"
    layout = "real_train/, real_test/, fake_train/, fake_test/ with packed videos inside"
    official: tuple[OfficialCount, ...] = (OfficialCount(3_805, 0), OfficialCount(3_509, 1))

    def matches(self, root: Path) -> bool:
        """Say whether the folder looks like this data set."""
        return sum((root / name).is_dir() for name in FOLDERS) >= 2

    def videos(self, root: Path) -> list[Video]:
        """Return the packed sequences, sorted by key.

        Raises:
            SourceError: There are only archives or images.
        """
        found = []
        for folder, (label, split) in FOLDERS.items():
            paths = [path for path in walk(root / folder) if is_video(path)]
            for path, name in zip(paths, names_for(paths, root / folder), strict=True):
                video = Video(
                    path=path,
                    name=f"{split}/{name}",
                    dataset=self.dataset,
                    method=("real", "fake")[label],
                    label=label,
                    split=split,
                )
                found.append(video)
        if not found:
            raise SourceError(
                f"{root} is WildDeepfake without videos: it is published as images. Unpack its "
                f"archives, then run `python -m deepfake.data pack {root}`."
            )
        return by_key(found)

    def missing(self, root: Path) -> list[str]:
        """Say which folders are not there."""
        return [f"{name}/" for name in FOLDERS if not (root / name).is_dir()]

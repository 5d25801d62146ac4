"""FaceForensics++ with FaceShifter and Google's DeepFakeDetection."""

from pathlib import Path

from deepfake.data.sources.base import OfficialCount, by_key, check_list, videos_in
from deepfake.data.sources.texts import read_json
from deepfake.errors import SourceError
from preprocessing.types import Split, Video

COMPRESSIONS = ("raw", "c0", "c23", "c40")
PAIRED = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
LISTS: dict[str, Split] = {"train.json": "train", "val.json": "val", "test.json": "test"}
SIZES: dict[Split, int] = {"train": 720, "val": 140, "test": 140}


class FaceForensics:
    """Rössler et al., ICCV 2019, https://arxiv.org/abs/1901.08971, as downloaded by its script.

    `original_sequences/{youtube,actors}` and `manipulated_sequences/METHOD`, each with
    `{raw,c23,c40}/videos`. A fake `000_003` shows video 000 with the face of 003; of
    DeepFakeDetection, `01_02__scene__code` shows actor 01 with the face of 02. The official lists
    train.json, val.json and test.json, of the authors' repository, are looked for in the folder and
    in `splits/`. They name no actors: DeepFakeDetection is on no list.
    """

    name = "ffpp"
    dataset = "FaceForensics++"
    layout = "original_sequences/ or manipulated_sequences/ with {raw,c23,c40}/videos/*.mp4 inside"
    official: tuple[OfficialCount, ...] = (
        *(OfficialCount(count, 0, "real", split) for split, count in SIZES.items()),
        OfficialCount(363, 0, "real", None),
        *(
            OfficialCount(count, 1, method, split)
            for method in PAIRED
            for split, count in SIZES.items()
        ),
        OfficialCount(3068, 1, "DeepFakeDetection", None),
    )

    def matches(self, root: Path) -> bool:
        """Say whether the folder looks like this data set."""
        return any(root.glob("original_sequences/*/*/videos")) or any(
            root.glob("manipulated_sequences/*/*/videos")
        )

    def videos(self, root: Path) -> list[Video]:
        """Return the videos, sorted by key."""
        splits = read_splits(root)
        found = []
        for folder in sorted(root.glob("original_sequences/*/*/videos")):
            if folder.parent.name in COMPRESSIONS:
                found += [self._real(path, splits) for path in videos_in(folder)]
        for folder in sorted(root.glob("manipulated_sequences/*/*/videos")):
            if folder.parent.name in COMPRESSIONS:  # masks/videos are no faces
                found += [self._fake(path, splits) for path in videos_in(folder)]
        if splits:
            listed = [video for video in found if not video.identities[0].startswith("actor")]
            fits = sum(video.split is not None for video in listed)
            check_list(root / "splits", fits=fits, videos=len(listed), expected=len(listed))
        return by_key(found)

    def missing(self, root: Path) -> list[str]:
        """Say which lists are not there."""
        absent = [name for name in LISTS if _list(root, name) is None]
        where = "https://github.com/ondyari/FaceForensics/tree/master/dataset/splits"
        return [f"{', '.join(absent)} of {where}: put them into splits/"] if absent else []

    def mask(self, video: Video) -> Path | None:
        """Return the video of the manipulated region of a fake, where it was downloaded."""
        path = video.path.parents[2] / "masks" / "videos" / video.path.name
        return path if video.label == 1 and path.is_file() else None

    def _real(self, path: Path, splits: dict[str, Split]) -> Video:
        stem = path.stem
        actor = "__" in stem
        return Video(
            path=path,
            name=stem,
            dataset=self.dataset,
            method="real",
            compression=path.parents[1].name,
            label=0,
            identities=(f"actor{stem.split('_')[0]}",) if actor else (stem,),
            split=None if actor else splits.get(stem),
        )

    def _fake(self, path: Path, splits: dict[str, Split]) -> Video:
        compression, method = path.parents[1].name, path.parents[2].name
        people, *scene = path.stem.split("__")
        identities = people.split("_")
        original = "__".join([identities[0], *scene[:1]])
        return Video(
            path=path,
            name=path.stem,
            dataset=self.dataset,
            method=method,
            compression=compression,
            label=1,
            identities=tuple(f"actor{who}" if scene else who for who in identities),
            source="/".join((self.dataset, "real", compression, original)),
            split=None if scene else splits.get(identities[0]),
        )


def read_splits(root: Path) -> dict[str, Split]:
    """Return the side of every video id on the lists of pairs found below the folder.

    Raises:
        SourceError: A list is damaged, or one id is on two of them.
    """
    found: dict[str, Split] = {}
    for name, split in LISTS.items():
        path = _list(root, name)
        pairs = read_json(path, list) if path is not None else []
        if not all(isinstance(pair, list) for pair in pairs):
            raise SourceError(f"{path} is not a list of pairs of ids. Download it again.")
        for who in (str(who).zfill(3) for pair in pairs for who in pair):
            if found.setdefault(who, split) != split:
                raise SourceError(
                    f"Video {who} is in {found[who]} and in {path}. Download the lists again."
                )
    return found


def _list(root: Path, name: str) -> Path | None:
    places = (root / "splits" / name, root / name, root / "dataset" / "splits" / name)
    return next((path for path in places if path.is_file()), None)

"""DeeperForensics-1.0."""

from pathlib import Path

from deepfake.data.sources.base import (
    OfficialCount,
    bare,
    by_key,
    check_list,
    read_lines,
    videos_in,
)
from preprocessing.types import Split, Video

LISTS: dict[str, Split] = {"train": "train", "val": "val", "test": "test"}
VARIANTS = (
    "end_to_end",
    "end_to_end_level_1",
    "end_to_end_level_2",
    "end_to_end_level_3",
    "end_to_end_level_4",
    "end_to_end_level_5",
    "end_to_end_random_level",
    "end_to_end_mix_2_distortions",
    "end_to_end_mix_3_distortions",
    "end_to_end_mix_4_distortions",
    "reenact_postprocess",
)
SIZES: dict[Split, int] = {"train": 703, "val": 96, "test": 201}


class DeeperForensics:
    """Jiang et al., CVPR 2020, https://arxiv.org/abs/2001.03024.

    `manipulated_videos/VARIANT/000_M101.mp4`: video 000 of FaceForensics++ with the face of actor
    M101; `lists/splits/{train,val,test}.txt`. All are fakes. The real side is FaceForensics++ at
    c23, as its authors say: preprocess it into the same folder. `source_videos/` are footage of the
    actors, not real videos to train on, and are left out.
    """

    name = "deeper_forensics"
    dataset = "DeeperForensics-1.0"
    layout = "manipulated_videos/end_to_end/*.mp4 and lists/splits/*.txt"
    official: tuple[OfficialCount, ...] = tuple(
        OfficialCount(count, 1, variant, split)
        for variant in VARIANTS
        for split, count in SIZES.items()
    )

    def matches(self, root: Path) -> bool:
        """Say whether the folder looks like this data set."""
        return any((root / "manipulated_videos" / name).is_dir() for name in VARIANTS)

    def videos(self, root: Path) -> list[Video]:
        """Return the videos, sorted by key."""
        splits = {
            bare(line.split()[0]): split
            for name, split in LISTS.items()
            for line in read_lines(root / "lists" / "splits" / f"{name}.txt")
        }
        found = []
        for variant in VARIANTS:
            for path in videos_in(root / "manipulated_videos" / variant):
                target, _, actor = path.stem.partition("_")
                video = Video(
                    path=path,
                    name=path.stem,
                    dataset=self.dataset,
                    method=variant,
                    label=1,
                    identities=(target, actor) if actor else (target,),
                    source=f"FaceForensics++/real/c23/{target}",
                    split=splits.get(bare(path.name)),
                )
                found.append(video)
        if splits:
            fits = sum(video.split is not None for video in found)
            lists = root / "lists" / "splits"
            check_list(lists, fits=fits, videos=len(found), expected=len(found))
        return by_key(found)

    def missing(self, root: Path) -> list[str]:
        """Say which lists are not there."""
        absent = [
            f"lists/splits/{name}.txt"
            for name in LISTS
            if not (root / "lists" / "splits" / f"{name}.txt").is_file()
        ]
        return [*absent, "real videos: they are FaceForensics++ youtube c23"]

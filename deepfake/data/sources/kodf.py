"""KoDF, the Korean deepfake detection data set."""

import re
from pathlib import Path

from deepfake.data.sources.base import OfficialCount, by_key, is_video
from preprocessing.types import Label, Video
from preprocessing.video.files import walk

REAL, FAKE = "original_videos", "synthesized_videos"


class KoDF:
    """Kwon et al., ICCV 2021, https://arxiv.org/abs/2103.10094.

    `original_videos/PERSON/*.mp4` and `synthesized_videos/METHOD/PERSON/*.mp4`. A fake shows the
    person of its folder and every person whose number is a part of its file name. There is no
    official split.
    """

    name = "kodf"
    dataset = "KoDF"
    layout = "original_videos/ and synthesized_videos/METHOD/"
    official: tuple[OfficialCount, ...] = (OfficialCount(62_166, 0), OfficialCount(175_776, 1))

    def matches(self, root: Path) -> bool:
        """Say whether the folder looks like this data set."""
        return (root / FAKE).is_dir()  # DFDC preview has an original_videos/ too

    def videos(self, root: Path) -> list[Video]:
        """Return the videos, sorted by key."""
        reals = [(path, path.relative_to(root / REAL)) for path in _videos(root / REAL)]
        fakes = [(path, path.relative_to(root / FAKE)) for path in _videos(root / FAKE)]
        known = {place.parts[0] for _, place in reals if len(place.parts) > 1}
        known |= {place.parts[1] for _, place in fakes if len(place.parts) > 2}
        found = [self._video(path, place, 0, "real", known) for path, place in reals]
        for path, place in fakes:
            method = place.parts[0] if len(place.parts) > 1 else "fake"
            rest = Path(*place.parts[1:]) if len(place.parts) > 1 else place
            found.append(self._video(path, rest, 1, method, known))
        return by_key(found)

    def missing(self, root: Path) -> list[str]:
        """Say which folders are not there."""
        return [f"{name}/" for name in (REAL, FAKE) if not (root / name).is_dir()]

    def _video(self, path: Path, place: Path, label: Label, method: str, known: set[str]) -> Video:
        people = place.parts[:1] if len(place.parts) > 1 else ()
        parts = re.split(r"[_\-]", path.stem)
        return Video(
            path=path,
            name=place.with_suffix("").as_posix(),
            dataset=self.dataset,
            method=method,
            label=label,
            identities=tuple(dict.fromkeys([*people, *(who for who in parts if who in known)])),
        )


def _videos(folder: Path) -> list[Path]:
    return [path for path in walk(folder) if is_video(path)]

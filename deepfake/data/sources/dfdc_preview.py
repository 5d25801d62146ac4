"""The preview of the DeepFake Detection Challenge."""

from pathlib import Path
from typing import Any

from deepfake.data.sources.base import OfficialCount, by_key, is_video
from deepfake.data.sources.texts import read_json
from deepfake.errors import SourceError
from preprocessing.types import Label, Split, Video

LABELS: dict[str, Label] = {"real": 0, "fake": 1}
SPLITS: dict[str, Split] = {"train": "train", "test": "test"}


class DFDCPreview:
    """Dolhansky et al., 2019, https://arxiv.org/abs/1910.08854.

    `dataset.json` beside `original_videos/`, `method_A/` and `method_B/`; for each file its label,
    set, `target_id` (who was filmed) and `swapped_id` (whose face was put on).
    """

    name = "dfdc_preview"
    dataset = "DFDC-preview"
    layout = "dataset.json beside original_videos/, method_A/ and method_B/"
    official: tuple[OfficialCount, ...] = (OfficialCount(1_131, 0), OfficialCount(4_113, 1))

    def matches(self, root: Path) -> bool:
        """Say whether the folder looks like this data set."""
        folders = ("original_videos", "method_A", "method_B")
        return (root / "dataset.json").is_file() and any((root / name).is_dir() for name in folders)

    def videos(self, root: Path) -> list[Video]:
        """Return the listed videos that are there, sorted by key."""
        entries = self._entries(root)
        present = [name for name in entries if is_video(root / name) and (root / name).is_file()]
        originals = {
            Path(name).stem: self._video(root, name, entries[name], {}).key
            for name in entries
            if entries[name]["label"] == "real"
        }
        return by_key([self._video(root, name, entries[name], originals) for name in present])

    def missing(self, root: Path) -> list[str]:
        """Say how many listed videos are not there."""
        absent = sum(not (root / name).is_file() for name in self._entries(root))
        return [f"{absent} videos that dataset.json lists"] if absent else []

    def _entries(self, root: Path) -> dict[str, Any]:
        entries: dict[str, Any] = read_json(root / "dataset.json", dict)
        for name, entry in entries.items():
            known = entry if isinstance(entry, dict) else {}
            if known.get("label") not in LABELS or known.get("set") not in SPLITS:
                raise SourceError(
                    f"{root / 'dataset.json'}: {name} has no label real or fake or no set train or "
                    "test. Download the file again."
                )
        return entries

    def _video(
        self, root: Path, name: str, entry: dict[str, Any], originals: dict[str, str]
    ) -> Video:
        label = LABELS[entry["label"]]
        folder, _, rest = Path(name).with_suffix("").as_posix().partition("/")
        people = (entry.get("target_id"), entry.get("swapped_id"))
        # A fake SWAPPED_TARGET_clip_number was made from the original TARGET_clip_number.
        original = Path(name).stem.partition("_")[2]
        return Video(
            path=root / name,
            name=rest,
            dataset=self.dataset,
            method="real" if label == 0 else folder,
            label=label,
            identities=tuple(dict.fromkeys(str(who) for who in people if who not in (None, ""))),
            source=originals.get(original) if label == 1 else None,
            split=SPLITS[entry["set"]],
        )

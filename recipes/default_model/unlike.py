"""What the gauge is worth on unknown sources: `python -m recipes.default_model.unlike`.

Each data set of a labelled folder is left out in turn: limits and gauge are fitted on the others,
and its videos are decided with and without the gauge.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepfake.aggregation import by_name
from deepfake.calibration import Calibration
from deepfake.checkpoints.gauge import UNLIKE, Gauge
from deepfake.checkpoints.loading import find_checkpoint, load_network
from deepfake.checkpoints.settings import Settings
from deepfake.evaluation.calibrating import features_of, kept_scores
from deepfake.evaluation.intervals import wilson
from deepfake.evaluation.run import evaluate
from deepfake.evaluation.scores import ScoredVideo
from preprocessing.types import Label

RULE = "any_person"


@dataclass(frozen=True)
class Decided:
    """A video of a source that was left out: its label, and what is said of it."""

    label: Label
    said: str
    likeness: float

    @property
    def wrong(self) -> bool:
        """Whether it is called what it is not."""
        return self.said == ("real" if self.label else "fake")


def left_out(
    videos: list[ScoredVideo],
    features: dict[str, np.ndarray],
    *,
    false_alarms: float,
    target_error: float,
) -> list[Decided]:
    """Decide every video by what is fitted on the other data sets."""
    rule, found = by_name(RULE), []
    for name in sorted({video.dataset for video in videos}):
        others = [video for video in videos if video.dataset != name]
        gauge = Gauge.fit([features[video.video] for video in others])
        fitted = kept_scores(others).calibration(
            rule, false_alarms=false_alarms, target_error=target_error
        )
        if gauge is None or not fitted.fitted:
            raise SystemExit(f"without {name} too few videos are left: {len(others)}")
        for video in (video for video in videos if video.dataset == name):
            raw = rule(video.faces)
            assert raw is not None
            assert video.label is not None
            said = fitted.verdict(fitted.apply(raw))
            likeness = gauge.likeness(features[video.video][None])
            found.append(Decided(video.label, said, likeness))
    return found


def together(
    videos: list[ScoredVideo], features: dict[str, np.ndarray], fitted: Calibration
) -> list[Decided]:
    """Decide every video by limits fitted on all, and by a gauge of the others."""
    gauge = Gauge.fit(list(features.values()))
    if gauge is None:
        raise SystemExit(f"{len(features)} videos are too few for a gauge")
    shares = [(1 + int((gauge.usual >= far).sum())) / (1 + len(gauge.usual)) for far in gauge.usual]
    likeness = dict(zip(features, shares, strict=True))
    rule, found = by_name(RULE), []
    for video in videos:
        raw = rule(video.faces)
        assert raw is not None
        assert video.label is not None
        said = fitted.verdict(fitted.apply(raw))
        found.append(Decided(video.label, said, likeness[video.video]))
    return found


def rates(found: list[Decided]) -> str:
    """Return how often a video is called fake or left undecided, those held back among these."""
    lines = []
    for label, name in enumerate(("reals", "fakes")):
        mine = [one for one in found if one.label == label]
        said = [one.said if one.likeness >= UNLIKE else "undecided" for one in mine]
        span = wilson(said.count("fake") / len(mine), len(mine))
        lines.append(
            f"{name}: {said.count('fake')} of {len(mine)} called fake [{span.low:.3f}, "
            f"{span.high:.3f}], {said.count('real')} real, {said.count('undecided')} undecided"
        )
    return "\n".join(lines)


def table(found: list[Decided]) -> str:
    """Return how many of the decided are wrong, with all, the kept, and those held back."""
    lines = [
        "| | real called fake | fake called real | wrong of the decided |",
        "|---|---|---|---|",
    ]
    parts = {
        "without the gauge": found,
        "with it": [one for one in found if one.likeness >= UNLIKE],
        "held back by it": [one for one in found if one.likeness < UNLIKE],
    }
    for name, part in parts.items():
        decided = [one for one in part if one.said != "undecided"]
        cells = []
        for label in (0, 1):
            mine = [one for one in decided if one.label == label]
            cells.append(f"{sum(one.wrong for one in mine)} of {len(mine)} decided")
        wrong = sum(one.wrong for one in decided)
        rate = f"{wrong / len(decided):.1%}" if decided else "–"
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {wrong} of {len(decided)}, {rate} |")
    return "\n".join(lines)


def main() -> None:
    """Print how often the model as it is calls videos fake, and the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=Path("default"))
    parser.add_argument("--data", type=Path, default=Path("data/held_out_faces"))
    parser.add_argument("--false-alarms", type=float, default=0.05)
    parser.add_argument("--target-error", type=float, default=0.15)
    given = parser.parse_args()
    path = find_checkpoint(given.checkpoint)
    network, settings = load_network(path)
    videos, features = scored(network, settings, path, given.data)
    print(rates(together(videos, features, settings.calibration)))
    wanted = {"false_alarms": given.false_alarms, "target_error": given.target_error}
    print(table(left_out(videos, features, **wanted)))


def scored(
    network: object, settings: Settings, path: Path, data: Path
) -> tuple[list[ScoredVideo], dict[str, np.ndarray]]:
    """Return the labelled videos with faces, and their features."""
    with tempfile.TemporaryDirectory(prefix="deepfake-") as folder:
        scores = evaluate(path, [data], out=Path(folder))
    videos = [video for video in scores.videos if video.label is not None and video.faces]
    return videos, features_of(network, settings, data, videos)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()

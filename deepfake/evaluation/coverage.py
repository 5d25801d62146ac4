"""What videos without a score would do to the AUROC, were they counted.

A detector that is measured on what it scored alone gains by leaving out what is hard. Each way of
counting the others is exact, pair by pair; the least and the most hold whatever they would score.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepfake.aggregation import Aggregator, WorstPerson
from deepfake.evaluation.measures import auroc
from deepfake.evaluation.scores import ScoredVideo, Scores
from deepfake.evaluation.summary import judge


@dataclass(frozen=True)
class Coverage:
    """AUROCs by what is made of the videos without a score."""

    scored: int  # labelled videos with a score
    unscored: int  # labelled videos without one
    left_out: float  # as if the others were not there
    as_real: float  # they score 0
    as_fake: float  # they score 1
    as_half: float  # they score 0.5, which says little where scores lie on one side of it
    as_chance: float  # each is as often above as below any other
    least: float  # each is wrong: fakes below and reals above all scores
    most: float  # each is right

    @property
    def share(self) -> float:
        """Share of the labelled videos that have a score; 1 where there is none."""
        every = self.scored + self.unscored
        return self.scored / every if every else 1.0


def coverage(videos: Sequence[ScoredVideo], *, rule: Aggregator | None = None) -> Coverage:
    """Return the AUROCs of videos of one checkpoint and data set."""
    judged = judge(videos, rule=rule or WorstPerson())
    given = np.array([v.label for v in videos if v.label is not None], dtype=np.int64)
    every, seen = (np.bincount(y, minlength=2) for y in (given, judged.labels))
    others = np.repeat([0, 1], every - seen)
    labels = np.append(judged.labels, others)
    raw = judged.raw.round(15)  # through logits, 0 comes back as 1e-16
    real, fake, half = (
        auroc(labels, np.append(raw, np.full(others.size, score))) for score in (0, 1, 0.5)
    )
    area, pairs = auroc(judged.labels, judged.raw), int(every.prod())
    known = int(seen.prod()) / pairs if pairs else math.nan  # share of the pairs
    least = area * known if seen.all() else 0 * known
    return Coverage(
        scored=judged.labels.size,
        unscored=judged.unscored,
        left_out=area,
        as_real=real,
        as_fake=fake,
        as_half=half,
        as_chance=least + (1 - known) / 2,
        least=least,
        most=least + 1 - known,
    )


def over_limit(scores: Scores, most: float) -> list[str]:
    """Return a line for each checkpoint and data set with a larger share without a score."""
    cells: defaultdict[tuple[str, str], list[bool]] = defaultdict(list)
    for video in scores.videos:
        if video.label is not None and not video.damage:
            seen = any(math.isfinite(face.score) for face in video.faces)
            cells[video.checkpoint, video.dataset].append(not seen)
    return [
        f"{name} on {dataset}: {sum(lost)} of {len(lost)} videos have no score, more than "
        f"--max-unscored {most:g} allows."
        for (name, dataset), lost in cells.items()
        if sum(lost) > most * len(lost)
    ]

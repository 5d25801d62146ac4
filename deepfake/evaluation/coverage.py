"""What videos without a score would do to the AUROC, were they counted.

A detector that is measured on what it scored alone gains by leaving out what is hard. Each way of
counting the others is exact, pair by pair; the least and the most hold whatever they would score.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

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
    as_real: float  # they are all called real, below every score
    as_fake: float  # they are all called fake, above every score
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
    reals, fakes = (int((judged.labels == k).sum()) for k in (0, 1))
    lost_reals = sum(video.label == 0 for video in videos) - reals
    lost_fakes = sum(video.label == 1 for video in videos) - fakes
    pairs = (fakes + lost_fakes) * (reals + lost_reals)
    area = auroc(judged.labels, judged.raw)
    won = 0.0 if math.isnan(area) else area * fakes * reals
    half = lost_fakes * lost_reals / 2

    def of(more: float) -> float:
        return (won + more) / pairs if pairs else math.nan

    return Coverage(
        scored=judged.labels.size,
        unscored=judged.unscored,
        left_out=area,
        as_real=of(fakes * lost_reals + half),
        as_fake=of(lost_fakes * reals + half),
        as_chance=of((pairs - fakes * reals) / 2),
        least=of(0.0),
        most=of(pairs - fakes * reals),
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

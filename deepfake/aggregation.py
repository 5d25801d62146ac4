"""From the scores of a video's faces to one score: every published rule under its name.

A rule is a frozen dataclass, called with the `FaceScore`s of one video in any order; it returns a
score in [0, 1], or None where there is nothing to judge. Where a published rule answers 0.5 without
faces, ours answers None too: "no face" is not "half fake". Scores that are not finite count as
faces that were not judged. Imports no torch.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfake.cli.outside import made
from deepfake.errors import DeepfakeError
from deepfake.types import FaceScore, TrackScore

CLIP = 2.0**-53  # the distance of float64's largest sigmoid below 1 to 1, so logits stay finite

Scores = NDArray[np.float64]


class RuleError(DeepfakeError, ValueError):
    """A rule that there is not."""


class Aggregator(Protocol):
    """What every rule is: `FaceScore`s of one video to its score, or None.

    One of your own is a subclass, so that a checkpoint may name it.
    """

    def __call__(self, faces: Sequence[FaceScore]) -> float | None:
        """Return the video's P(fake) in [0, 1], or None where no face was judged."""
        ...


def logit(scores: ArrayLike) -> Scores:
    """Return log(s / (1 - s)) in float64; 0 and 1 are clipped."""
    s = np.clip(np.asarray(scores, dtype=np.float64), CLIP, 1 - CLIP)
    return np.asarray(np.log(s) - np.log1p(-s), dtype=np.float64)


def sigmoid(logits: ArrayLike) -> Scores:
    """Return 1 / (1 + exp(-x)) in float64, without overflow."""
    return np.asarray(np.tanh(np.asarray(logits, dtype=np.float64) / 2) / 2 + 0.5, dtype=np.float64)


def mean_logit(scores: Scores) -> float:
    """Return the sigmoid of the mean logit of scores (N,), N > 0; 0 and 1 are clipped."""
    return float(sigmoid(np.mean(logit(scores))))


def by_person(faces: Iterable[FaceScore]) -> dict[int, list[FaceScore]]:
    """Return the judged faces of each person, in the order of their tracks' numbers."""
    people: dict[int, list[FaceScore]] = {}
    for face in sorted(faces, key=attrgetter("track")):
        if math.isfinite(face.score):
            people.setdefault(face.track, []).append(face)
    return people


def _people(faces: Sequence[FaceScore]) -> list[Scores]:
    return [np.array([f.score for f in seen], np.float64) for seen in by_person(faces).values()]


class _OfFaces(Aggregator):
    """A rule on the scores (N,) of all faces, N > 0, whoever they are of."""

    def __call__(self, faces: Sequence[FaceScore]) -> float | None:
        """Return the video's score, or None."""
        scores = np.array([f.score for f in faces if math.isfinite(f.score)], dtype=np.float64)
        return self._of(scores) if scores.size else None

    def _of(self, scores: Scores) -> float:
        raise NotImplementedError


@dataclass(frozen=True)
class Mean(_OfFaces):
    """Mean over all faces."""

    def _of(self, scores: Scores) -> float:
        return float(scores.mean())


@dataclass(frozen=True)
class Median(_OfFaces):
    """Median over all faces."""

    def _of(self, scores: Scores) -> float:
        return float(np.median(scores))


@dataclass(frozen=True)
class Max(_OfFaces):
    """Largest score over all faces."""

    def _of(self, scores: Scores) -> float:
        return float(scores.max())


@dataclass(frozen=True)
class MeanLogit(_OfFaces):
    """Sigmoid of the mean logit over all faces, as Bonettini et al., ICPR 2020.

    https://arxiv.org/abs/2004.07676
    """

    def _of(self, scores: Scores) -> float:
        return mean_logit(scores)


@dataclass(frozen=True)
class TopKMean(_OfFaces):
    """Mean of the highest scores: a fake may show in a few frames only.

    Args:
        fraction: Part of the faces that counts, in (0, 1]; at least one face does.
    """

    fraction: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise ValueError(f"fraction must be in (0, 1], got {self.fraction}")

    def _of(self, scores: Scores) -> float:
        return float(np.sort(scores)[-math.ceil(self.fraction * scores.size) :].mean())


@dataclass(frozen=True)
class Vote(_OfFaces):
    """Fraction of the faces whose score is above the threshold, strictly.

    With 0.5 this is `vote` of HanMoonSub/DeepGuard.
    """

    threshold: float = 0.5

    def _of(self, scores: Scores) -> float:
        return float((scores > self.threshold).mean())


@dataclass(frozen=True)
class NoisyOr(Aggregator):
    """Probability that at least one person is fake, if people were independent.

    A person's probability is the sigmoid of their mean logit. Pearl, 1988, section 4.3.
    """

    def __call__(self, faces: Sequence[FaceScore]) -> float | None:
        """Return the video's score, or None."""
        people = _people(faces)
        if not people:
            return None
        return 1 - math.prod(1 - mean_logit(scores) for scores in people)


@dataclass(frozen=True)
class WorstPerson(Aggregator):
    """Mean of logits within a person; the person that looks most fake decides the video."""

    def __call__(self, faces: Sequence[FaceScore]) -> float | None:
        """Return the video's score, or None."""
        return max((mean_logit(scores) for scores in _people(faces)), default=None)


@dataclass(frozen=True)
class AnyPerson(Aggregator):
    """Probability that one of the people is fake, in all of their shots or in one.

    Any person may be the one, and any shot, so odds are averaged over people, not the highest
    taken: who looks worst of ten has to stand out ten times as much as who is alone. A person's
    odds are the mean of the odds of all their faces and of their shots' mean odds; the odds of a
    few faces are those of the mean logit, drawn towards even.

    The mean logits of people spread 2.3 around even, the logits of one person's faces 1.0 around
    their mean (default model, 70 people), so that alone would make a face weigh as much as 0.2
    even ones; neighbours in time are alike, hence 0.5.

    Args:
        even: Faces whose odds are even, added to those seen.
        sure_px: Side from which a face counts in full; the logits of faces made 54 pixels small
            correlate with those at full size by 0.89, of 36 by 0.68, of 24 by 0.47.
        apart_s: Faces of a shot nearer in time than this count as one, in seconds.
    """

    even: float = 0.5
    sure_px: float = 64.0
    apart_s: float = 0.2

    def __call__(self, faces: Sequence[FaceScore]) -> float | None:
        """Return the video's score, or None."""
        people = by_person(faces).values()
        if not people:
            return None
        odds = np.mean([self._of_person(seen) for seen in people])
        return float(odds / (1 + odds))

    def _of_person(self, faces: Sequence[FaceScore]) -> float:
        numbers = dict.fromkeys(face.shot for face in faces)
        shots = [[face for face in faces if face.shot == number] for number in numbers]
        logits = np.array([logit([f.score for f in shot]).mean() for shot in shots])
        counts = np.array([len(shot) for shot in shots], dtype=np.float64)
        weights = np.array([self._weight(shot) for shot in shots])
        alone = np.exp(logits * weights / (weights + self.even))
        whole = float(logits @ counts / counts.sum())
        total = float(weights.sum())
        return float(np.exp(whole * total / (total + self.even)) + alone.mean()) / 2

    def _weight(self, faces: Sequence[FaceScore]) -> float:
        """Return how many faces some of one shot count as."""
        sides = [max(b[2] - b[0], b[3] - b[1]) for f in faces if (b := f.box) is not None]
        size = float(np.mean(np.minimum(1, np.square(sides) / self.sure_px**2))) if sides else 1.0
        times = [face.time_s for face in faces]
        span_s = max(times) - min(times)
        return size * (min(len(faces), 1 + span_s / self.apart_s) if span_s > 0 else len(faces))


@dataclass(frozen=True)
class PeopleVoting(Aggregator):
    """Mean per person; the first mean above the threshold answers, else the mean of the means.

    Coccomini et al., ICIAP 2022, https://arxiv.org/abs/2107.02612
    """

    threshold: float = 0.55

    def __call__(self, faces: Sequence[FaceScore]) -> float | None:
        """Return the video's score, or None."""
        means = [float(scores.mean()) for scores in _people(faces)]
        if not means:
            return None
        over = [mean for mean in means if mean > self.threshold]
        return over[0] if over else float(np.mean(means))


@dataclass(frozen=True)
class Confident(_OfFaces):
    """Mean of the confident faces, where there are enough of them, else of all.

    The strategy of the DFDC's winner, selimsef/dfdc_deepfake_challenge; HanMoonSub/DeepGuard's
    variant asks for no least number.

    Args:
        more_than: Fakes must number more than this, beside floor(n / 2.5) of n faces.
    """

    more_than: int = 11

    def _of(self, scores: Scores) -> float:
        fakes, reals = scores[scores > 0.8], scores[scores < 0.2]
        if fakes.size > max(int(scores.size // 2.5), self.more_than):
            return float(fakes.mean())
        return float((reals if reals.size > 0.9 * scores.size else scores).mean())


@dataclass(frozen=True)
class ConfidentPeople(Aggregator):
    """Score each person by their confident faces, then let the most fake or the most real decide.

    The rule of deepware/deepfake-scanner. It is not defined for a person with one face below 0.8;
    that person's mean is taken instead.
    """

    def __call__(self, faces: Sequence[FaceScore]) -> float | None:
        """Return the video's score, or None."""
        people = np.array([self._person(scores) for scores in _people(faces)])
        if not people.size:
            return None
        confident = float(np.abs(2 * people - 1).mean()) >= 0.7
        most = float(people.max())
        if most >= 0.8:
            answer = most - math.log10(most) if confident else most
        else:
            answer = float(people.min() if confident else people.mean())
        return min(max(answer, 0.01), 0.99)

    def _person(self, scores: Scores) -> float:
        enough = int(0.9 * scores.size)
        for chosen in (scores[scores >= 0.8], scores[scores <= 1 - 0.8]):
            if chosen.size and chosen.size >= enough:
                return float(chosen.mean())
        return float(scores.mean())


@dataclass(frozen=True)
class FrameMaxMean(Aggregator):
    """Largest score of each frame, then the mean over the frames that have faces.

    Shiohara and Yamasaki, CVPR 2022 (Self-Blended Images), https://arxiv.org/abs/2204.08376
    """

    def __call__(self, faces: Sequence[FaceScore]) -> float | None:
        """Return the video's score, or None."""
        frames: dict[int, float] = {}
        for face in faces:
            if math.isfinite(face.score):
                frames[face.frame] = max(face.score, frames.get(face.frame, 0.0))
        return float(np.mean(list(frames.values()))) if frames else None


DEFAULT = "any_person"

RULES: MappingProxyType[str, Aggregator] = MappingProxyType(
    {
        DEFAULT: AnyPerson(),
        "worst_person": WorstPerson(),
        "mean": Mean(),
        "median": Median(),
        "max": Max(),
        "mean_logit": MeanLogit(),
        "top_k_mean": TopKMean(),
        "vote": Vote(),
        "noisy_or": NoisyOr(),
        "coccomini_identity_round": PeopleVoting(),
        "selimsef_confident": Confident(),
        "deepguard_conf": Confident(more_than=0),
        "deepguard_vote": Vote(),
        "deepware_identity": ConfidentPeople(),
        "sbi_frame_max_mean": FrameMaxMean(),
    }
)


def by_name(name: str) -> Aggregator:
    """Return the rule of that name, with its published numbers, or one of another's class.

    >>> faces = [FaceScore(score=0.9, track=0, frame=0), FaceScore(score=0.1, track=1, frame=0)]
    >>> round(by_name("worst_person")(faces), 3), by_name("mean")(faces), by_name("mean")([])
    (0.9, 0.5, None)

    Args:
        name: Of `RULES`, or a class as `deepfake.cli.outside.made` takes it.

    Raises:
        RuleError: There is none, or its module is not imported.
    """
    if name in RULES:
        return RULES[name]
    try:
        rule: Aggregator = made(name, Aggregator)
    except ValueError as error:
        raise RuleError(
            f"No aggregation rule {name!r}. Choose one of: {', '.join(RULES)}; or a class of your "
            f"own such as my_rules.Quantile(share=0.9): {error}."
        ) from error
    return rule


def person_scores(faces: Sequence[FaceScore], rule: Aggregator) -> tuple[TrackScore, ...]:
    """Return the rule's score of each person alone, in the order of their tracks' numbers.

    A person of whom no face was judged is left out. `faces` counts the judged ones.
    """
    result = []
    for track, seen in by_person(faces).items():
        score = rule(seen)
        if score is not None:
            times = [face.time_s for face in seen]
            result.append(TrackScore(track, score, len(seen), min(times), max(times)))
    return tuple(result)

"""A person's score over time as inline SVG: numbers only, coloured by the page's style sheet.

The drawing stretches to any width, so it holds no text; lines keep their width by
`vector-effect`. Words beside it say the same for those who cannot see it.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from deepfake.report.page import environment
from deepfake.timeline import Timeline
from deepfake.types import FaceScore, Interval

WIDTH, HEIGHT = 1000.0, 100.0  # of the drawing, in its own units


def timeline_svg(
    line: Timeline,
    faces: Sequence[FaceScore],
    intervals: Sequence[Interval],
    *,
    threshold: float,
    cuts_s: Sequence[float],
    span_s: tuple[float, float],
    words: str,
) -> str:
    """Return an SVG element.

    Args:
        line: The person's smoothed score.
        faces: Their single faces, calibrated.
        intervals: When they look fake.
        threshold: Drawn as a line.
        cuts_s: Times of scene changes.
        span_s: Begin and end of the drawing, in seconds.
        words: What the drawing shows; plain text of ours, without markup.
    """
    start, end = span_s
    length = max(end - start, 1e-3)

    def x(time_s: float) -> float:
        return round(WIDTH * min(max((time_s - start) / length, 0.0), 1.0), 2)

    def y(score: float) -> float:
        return round(HEIGHT * (1 - score), 2)

    template = environment().get_template("timeline.svg")
    inside = [cut for cut in cuts_s if start <= cut <= end]
    about = {"faces": faces, "intervals": intervals, "threshold": threshold, "cuts_s": inside}
    size = {"right": WIDTH, "bottom": HEIGHT}
    return template.render(x=x, y=y, pieces=_pieces(line), words=words, **about, **size)


def _pieces(line: Timeline) -> Iterator[list[tuple[float, float]]]:
    """Yield (time, score) of each stretch in which the person is there without a break."""
    away = np.flatnonzero(line.starts_s[1:] > line.ends_s[:-1] + 1e-9) + 1
    for part in np.split(np.arange(len(line.times_s)), away):
        times = [line.starts_s[part[0]], *line.times_s[part], line.ends_s[part[-1]]]
        yield list(zip(times, line.scores[[part[0], *part, part[-1]]], strict=True))

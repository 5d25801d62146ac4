"""A person's score over time as inline SVG: numbers only, coloured by the page's style sheet.

The drawing stretches to any width, so it holds no text; lines keep their width by
`vector-effect`. Words beside it say the same for those who cannot see it.
"""

from collections.abc import Callable, Sequence

from deepfake.timeline import Timeline
from deepfake.types import FaceScore, Interval

WIDTH, HEIGHT = 1000.0, 100.0  # of the drawing, in its own units
SAME_STROKE = 'vector-effect="non-scaling-stroke"'


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

    marks = [
        f'<rect class="span" x="{x(i.start_s)}" y="0" '
        f'width="{round(x(i.end_s) - x(i.start_s), 2)}" height="{HEIGHT}"/>'
        for i in intervals
    ]
    marks += [_line("cut", x(cut), 0, x(cut), HEIGHT) for cut in cuts_s if start <= cut <= end]
    marks.append(_line("threshold", 0, y(threshold), WIDTH, y(threshold)))
    # A line of no length with round ends is a dot that stays round in a stretched drawing.
    marks += [_line("face", x(f.time_s), y(f.score), x(f.time_s), y(f.score)) for f in faces]
    marks += [
        f'<polyline class="score" {SAME_STROKE} points="{points}"/>'
        for points in _pieces(line, x, y)
    ]
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" preserveAspectRatio="none" role="img" '
        f'aria-label="{words}">{"".join(marks)}</svg>'
    )


def _line(name: str, x0: float, y0: float, x1: float, y1: float) -> str:
    return f'<line class="{name}" {SAME_STROKE} x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}"/>'


def _pieces(line: Timeline, x: Callable[[float], float], y: Callable[[float], float]) -> list[str]:
    """Return the points of each stretch in which the person is there without a break."""
    pieces: list[list[str]] = []
    for k, (time_s, score) in enumerate(zip(line.times_s, line.scores, strict=True)):
        away = k > 0 and line.starts_s[k] > line.ends_s[k - 1] + 1e-9
        if k == 0 or away:
            pieces.append([f"{x(line.starts_s[k])},{y(score)}"])
        pieces[-1].append(f"{x(time_s)},{y(score)}")
        last = k + 1 == len(line.times_s) or line.starts_s[k + 1] > line.ends_s[k] + 1e-9
        if last:
            pieces[-1].append(f"{x(line.ends_s[k])},{y(score)}")
    return [" ".join(piece) for piece in pieces]

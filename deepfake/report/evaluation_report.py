"""From scores to every table, figure and the page: needs no network and no crops."""

import base64
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepfake.evaluation.across import across
from deepfake.evaluation.comparison import compare_checkpoints, compare_rules, shortcuts
from deepfake.evaluation.coverage import coverage
from deepfake.evaluation.delong import holm
from deepfake.evaluation.measures import auroc
from deepfake.evaluation.parts import Subgroups, parts
from deepfake.evaluation.predictions import write_predictions
from deepfake.evaluation.scores import UNDAMAGED, Judge, ScoredVideo, Scores
from deepfake.evaluation.summary import (
    ENOUGH_GROUPS,
    MEASURES,
    Judged,
    Level,
    Result,
    judge,
    result,
)
from deepfake.report import evaluation_plots as plots
from deepfake.report import evaluation_tables as tables
from deepfake.report.evaluation_tables import Row, Table, table
from deepfake.report.page import environment

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

LEVELS: tuple[Level, ...] = ("video", "person", "face")


@dataclass(frozen=True)
class Cell:
    """The videos of a data set as a checkpoint scored them; damaged ones by damage and level."""

    checkpoint: str
    dataset: str
    judge: Judge
    videos: list[ScoredVideo] = field(default_factory=list)
    damaged: dict[tuple[str, int], list[ScoredVideo]] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return what it is called."""
        return f"{self.checkpoint} on {self.dataset}"

    @property
    def has_several(self) -> bool:
        """Whether rules and levels differ: some video has several faces."""
        return any(len(video.faces) > 1 for video in self.videos)

    def result(self, videos: Sequence[ScoredVideo], **how: Any) -> Result:  # noqa: ANN401
        """Measure videos as the checkpoint judges them."""
        rule, calibration = self.judge.aggregation, self.judge.calibration
        return result(videos, rule=rule, calibration=calibration, **how)

    @cached_property
    def judged(self) -> Judged:
        """Labels and scores of the videos."""
        return judge(self.videos, rule=self.judge.rule, calibration=self.judge.calibration)


def write_report(
    scores: Scores,
    folder: Path,
    *,
    repeats: int = 1000,
    embedded: "pa.Table | None" = None,
    measures: Sequence[str] = (),
    subgroups: Subgroups | None = None,
) -> str:
    """Write `report.html`, `tables.md`, `results.csv`, `tables/*.tex` and `figures/*`.

    Args:
        scores: What `read_scores` gave.
        folder: Where to; made if need be.
        repeats: Bootstrap draws behind each interval.
        embedded: Where t-SNE puts faces, see `deepfake.evaluation.embedding`.
        measures: Functions of one's own, imported, by their paths: from labels (N,) and calibrated
            scores (N,) to a number.
        subgroups: What else is known of videos, see `deepfake.evaluation.parts`.

    Returns:
        The cross table as Markdown.
    """
    cells = _cells(scores)
    judges = {cell.checkpoint: cell.judge for cell in cells}
    levels = [
        cell.result(
            cell.videos,
            level=level,
            repeats=repeats,
            names=("auroc",) if level != "video" else (*MEASURES, *measures),
        )
        for cell in cells
        for level in LEVELS
        if level == "video" or cell.has_several
    ]
    whole = [one for one in levels if one.level == "video"]
    pieces = [
        cell.result(piece, part=part, names=tables.OF_PARTS)
        for cell in cells
        for part, piece in parts(cell.videos, subgroups).items()
    ]
    many = [cell for cell in cells if cell.has_several]
    rules = [one for cell in many for one in compare_rules(cell.videos, repeats=repeats)]
    found = [
        tables.cross_table(levels),
        tables.measures_table(whole),
        *_coverage(cells),
        *_across(cells),
        *_compared(cells),
        *_robustness(cells),
        *tables.parts_table(pieces),
        *tables.rules_table(rules),
        *_shortcuts(cells),
    ]
    pictures = []
    for figure, name, words in (*_figures(cells), *_maps(embedded, judges)):
        _, svg = plots.save(figure, folder / "figures", _file_name(name))
        data = base64.b64encode(svg.read_bytes()).decode()
        pictures.append((f"data:image/svg+xml;base64,{data}", words))
    folder.mkdir(parents=True, exist_ok=True)
    _write_tables(found, folder)
    (folder / "results.csv").write_text(tables.results_csv([*levels, *pieces, *rules]), "utf-8")
    (folder / "scores").mkdir(exist_ok=True)
    for cell in cells:  # the score of each video, as others read it
        path = folder / "scores" / f"{_file_name(str(cell))}.scores.csv"
        write_predictions(path, cell.videos, rule=cell.judge.rule)
    page = environment().get_template("evaluation.html")
    text = page.render(tables=found, pictures=pictures, notes=_notes(whole, judges, repeats))
    (folder / "report.html").write_text(text, "utf-8")
    return found[0].markdown()


def _cells(scores: Scores) -> list[Cell]:
    found: dict[tuple[str, str], Cell] = {}
    for video in scores.videos:
        if not video.dataset:
            video = replace(video, dataset="unnamed")
        name, dataset = video.checkpoint, video.dataset
        empty = Cell(name, dataset, scores.judges.get(name, Judge()))
        cell = found.setdefault((name, dataset), empty)
        damaged = cell.damaged.setdefault((video.damage, video.level), []) if video.damage else None
        (cell.videos if damaged is None else damaged).append(video)
    return [cell for cell in found.values() if cell.videos]


def _compared(cells: Sequence[Cell]) -> list[Table]:
    """Return every pair of checkpoints on every data set, adjusted for all tests together."""
    tests = [
        (a, b, *compare_checkpoints(a.videos, b.videos, rules=(a.judge.rule, b.judge.rule)))
        for dataset in dict.fromkeys(cell.dataset for cell in cells)
        for a, b in combinations([cell for cell in cells if cell.dataset == dataset], 2)
    ]
    rows: list[Row] = []
    adjusted = holm([test.p_value for *_, test in tests])
    for (a, b, videos, test), p in zip(tests, adjusted, strict=True):
        shown = ["–" if math.isnan(x) else f"{x:.2g}" for x in (test.p_value, p)]
        count = f"{test.groups}{' (few)' if test.groups < ENOUGH_GROUPS else ''}"
        figures = (test.first, test.second, test.difference, test.low, test.high)
        rows.append((a.dataset, a.checkpoint, b.checkpoint, videos, count, *figures, *shown))
    heads = ("Data set", "First", "Second", "Videos", "Groups", "AUROC", "AUROC", "Difference")
    return table("DeLong's test", (*heads, "from", "to", "p", "p (Holm)"), rows)


def _coverage(cells: Sequence[Cell]) -> list[Table]:
    """Return what videos without a score would do, where there are any."""
    rows = []
    for cell in cells:
        c = coverage(cell.videos, rule=cell.judge.rule)
        if c.unscored:
            counts = (cell.checkpoint, cell.dataset, c.scored, c.unscored, f"{c.share:.1%}")
            scored = (c.as_real, c.as_fake, c.as_half)
            rows.append((*counts, c.left_out, c.as_chance, *scored, c.least, c.most))
    heads = ("Checkpoint", "Data set", "Scored", "Not scored", "Coverage", "Left out", "By chance")
    title = "Coverage: AUROC by what videos without a score count as"
    return table(title, (*heads, "All 0", "All 1", "All 0.5", "All wrong", "All right"), rows)


def _across(cells: Sequence[Cell]) -> list[Table]:
    """Return one row per checkpoint that judged several data sets."""
    rows = []
    for name in dict.fromkeys(cell.checkpoint for cell in cells):
        a = across([cell.judged for cell in cells if cell.checkpoint == name])
        if a is not None:
            rows.append((name, a.sets, a.pooled, a.mean, a.lowest, a.own, a.one, a.stored))
    aurocs = ("AUROC pooled", "AUROC mean", "AUROC lowest")
    heads = ("Checkpoint", "Data sets", *aurocs, "Own threshold each", "One threshold")
    title = "Across data sets: one scale or one for each; the last three are balanced accuracy"
    return table(title, (*heads, "Stored threshold"), rows)


def _shortcuts(cells: Sequence[Cell]) -> list[Table]:
    rows = [
        (cell.checkpoint, cell.dataset, trait.replace("_", " "), value)
        for cell in cells
        for trait, value in shortcuts(cell.videos, rule=cell.judge.rule).items()
        if not math.isnan(value)
    ]
    heads = ("Checkpoint", "Data set", "What", "AUROC")
    return table("Shortcuts: size, sharpness and brightness of faces", heads, rows)


def _curves(cell: Cell) -> dict[str, list[float]]:
    """Return the AUROC over levels 0 (undamaged), 1, ... of each damage."""

    def area(chosen: Sequence[ScoredVideo]) -> float:
        judged = judge(chosen, rule=cell.judge.rule)
        return auroc(judged.labels, judged.raw)

    clean = area(cell.damaged.get((UNDAMAGED, 0), ()))
    found: dict[str, list[float]] = {}
    for (damage, _), videos in sorted(cell.damaged.items()):
        if damage != UNDAMAGED:
            found.setdefault(damage, [clean]).append(area(videos))
    return found


def mean_relative_drop(curve: Sequence[float]) -> float:
    """Return the mean over levels of the share of the undamaged AUROC that is lost."""
    if len(curve) < 2 or not curve[0] > 0:
        return math.nan
    return sum((curve[0] - value) / curve[0] for value in curve[1:]) / (len(curve) - 1)


def _robustness(cells: Sequence[Cell]) -> list[Table]:
    rows: list[Row] = []
    for cell in cells:
        for damage, curve in _curves(cell).items():
            lost = mean_relative_drop(curve)
            drop = "–" if math.isnan(lost) else f"{lost:.1%}"
            rows.append((cell.checkpoint, cell.dataset, damage, drop, *curve))
    width = max((len(row) for row in rows), default=0)
    heads = ("Checkpoint", "Data set", "Damage", "Mean relative drop", "None")
    levels = (f"Level {level}" for level in range(1, width - 4))
    padded = [row + (math.nan,) * (width - len(row)) for row in rows]
    return table("Robustness: AUROC of damaged videos", (*heads, *levels), padded)


def _figures(cells: Sequence[Cell]) -> "Iterator[tuple[Figure, str, str]]":
    """Yield figures, their names and the words that stand for them."""
    named = {str(cell): cell.judged for cell in cells}
    yield plots.plot_roc(named), "roc", "ROC curves with their areas"
    yield plots.plot_det(named), "det", "DET curves with their equal error rates"
    yield plots.plot_risk_coverage(named), "risk-coverage", "Error rates of the surest, with AURC"
    yield plots.plot_precision_recall(named), "precision-recall", "Precision over recall"
    measured = [cell for cell in cells if cell.judged.labels.size]
    for cell in measured:
        one, title = cell.judged, str(cell)
        yield plots.plot_reliability(one), f"reliability {title}", f"Reliability of {title}"
        yield plots.plot_histogram(one), f"histogram {title}", f"Scores of {title}"
        yield plots.plot_confusion(one), f"confusion {title}", f"Confusion of {title}"
    for cell in measured:
        fitted = cell.judge.calibration
        if fitted is not None and fitted.least_ratio is not None:
            figure = plots.plot_tippett(cell.judged, fitted.log_ratios(cell.judged.raw))
            yield figure, f"tippett {cell}", f"Likelihood ratios (Tippett) of {cell}"
    for cell in cells:
        if cell.damaged:
            figure = plots.plot_robustness(_curves(cell), "Robustness")
            yield figure, f"robustness {cell}", f"AUROC under damage, {cell}"


def _maps(embedded: "pa.Table | None", names: Iterable[str]) -> "Iterator[tuple[Figure, str, str]]":
    found = [] if embedded is None else embedded.to_pylist()
    for name in names:
        faces = [face for face in found if face["checkpoint"] == name]
        if not faces:
            continue
        figure = plots.plot_embedding(faces, "Features of faces (t-SNE)")
        yield figure, f"t-SNE {name}", f"Features of {len(faces)} faces by {name}, t-SNE"


def _file_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:100]


def _write_tables(found: Sequence[Table], folder: Path) -> None:
    text = "\n".join(one.markdown() for one in found)
    (folder / "tables.md").write_text(text, "utf-8")
    (folder / "tables").mkdir(exist_ok=True)
    for one in found:
        name = _file_name(one.title.partition(":")[0].partition("[")[0])
        (folder / "tables" / f"{name}.tex").write_text(one.latex(), "utf-8")


def _notes(whole: Sequence[Result], judges: Mapping[str, Judge], repeats: int) -> list[str]:
    notes = [
        "Intervals hold 95 %: first by video, then by group of videos that share a person or a "
        f"source; of AUROC and accuracy in closed form, else by a bootstrap of {repeats} draws. A "
        "dash means that a figure is not defined, as AUROC with one class, or that the videos are "
        "too few."
    ]
    notes += [
        f"{one.checkpoint} on {one.dataset}: only {one.groups} independent groups. With fewer than "
        f"{ENOUGH_GROUPS}, intervals and tests lean on assumptions; measure more people."
        for one in whole
        if one.groups < ENOUGH_GROUPS
    ]
    notes += [
        f"{one.checkpoint} on {one.dataset}: {one.unscored} videos without a score are in no "
        "measure but their number and the table of coverage."
        for one in whole
        if one.unscored
    ]
    for name, found in judges.items():
        how = f"{name} joins faces by {found.aggregation}"
        if found.calibration is not None:
            how += f"; {found.calibration.method} calibration, fitted on "
            how += f"{found.calibration.reals} real and {found.calibration.fakes} fake videos"
            how += f". {found.calibration.limits()}" if found.calibration.limits() else ""
        notes.append(how.rstrip(".") + ".")
    return notes

"""From scores to every table, figure and the page: needs no network and no crops."""

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from deepfake.aggregation import by_name
from deepfake.evaluation.across import across
from deepfake.evaluation.comparison import compare_checkpoints, compare_rules, shortcuts
from deepfake.evaluation.coverage import coverage
from deepfake.evaluation.delong import holm
from deepfake.evaluation.embedding import EmbeddedFace
from deepfake.evaluation.measures import auroc
from deepfake.evaluation.parts import parts
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
from deepfake.report.evaluation_page import Picture, evaluation_page
from deepfake.report.evaluation_tables import Table, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cell = tuple[str, str]  # checkpoint, data set
Cells = Mapping[Cell, Sequence[ScoredVideo]]
LEVELS: tuple[Level, ...] = ("video", "person", "face")
Damaged = Mapping[Cell, Mapping[tuple[str, int], Sequence[ScoredVideo]]]


def write_report(
    scores: Scores,
    folder: Path,
    *,
    repeats: int = 1000,
    embedded: Sequence[EmbeddedFace] = (),
    measures: Sequence[str] = (),
) -> str:
    """Write `report.html`, `tables.md`, `results.csv`, `tables/*.tex` and `figures/*`.

    Args:
        scores: What `read_scores` gave.
        folder: Where to; made if need be.
        repeats: Bootstrap draws behind each interval.
        embedded: Where t-SNE puts faces, see `deepfake.evaluation.embedding`.
        measures: Functions of one's own, imported, by their paths: from labels (N,) and calibrated
            scores (N,) to a number.

    Returns:
        The cross table as Markdown.
    """
    cells, damaged = _by_cell(scores.videos)
    judges = {name: scores.judges.get(name, Judge()) for name, _ in cells}
    levels = [
        result(
            videos,
            level=level,
            rule=judges[name].aggregation,
            calibration=judges[name].calibration,
            repeats=repeats,
            names=("auroc",) if level != "video" else (*MEASURES, *measures),
        )
        for (name, _), videos in cells.items()
        for level in LEVELS
        if level == "video" or any(len(video.faces) > 1 for video in videos)
    ]
    whole = [one for one in levels if one.level == "video"]
    pieces = _pieces(cells, judges, repeats)
    rules = _rules(cells, repeats)
    found = [tables.cross_table(levels), tables.measures_table(whole)]
    found += _coverage(cells, judges) + _across(cells, judges)
    found += _compared(cells, judges) + _robustness(damaged, judges)
    found += [tables.parts_table(pieces)] if pieces else []
    found += [tables.rules_table(rules)] if rules else []
    found += _shortcuts(cells, judges)
    pictures = _draw(cells, damaged, judges, folder / "figures")
    pictures += _maps([face for face in embedded if face.checkpoint in judges], folder / "figures")
    folder.mkdir(parents=True, exist_ok=True)
    _write_tables(found, folder)
    (folder / "results.csv").write_text(tables.results_csv([*levels, *pieces, *rules]), "utf-8")
    _write_scores(cells, judges, folder / "scores")
    page = evaluation_page(found, pictures, _notes(whole, judges, repeats))
    (folder / "report.html").write_text(page, "utf-8")
    return found[0].markdown()


def _by_cell(videos: Sequence[ScoredVideo]) -> tuple[Cells, Damaged]:
    cells: defaultdict[Cell, list[ScoredVideo]] = defaultdict(list)
    damaged: defaultdict[Cell, defaultdict[tuple[str, int], list[ScoredVideo]]]
    damaged = defaultdict(lambda: defaultdict(list))
    for video in videos:
        if not video.dataset:
            video = replace(video, dataset="unnamed")
        key = (video.checkpoint, video.dataset)
        if video.damage:
            damaged[key][video.damage, video.level].append(video)
        else:
            cells[key].append(video)
    return cells, damaged


def _pieces(cells: Cells, judges: Mapping[str, Judge], repeats: int) -> list[Result]:
    return [
        result(
            piece,
            part=part,
            rule=judges[name].aggregation,
            names=("auroc",),
            repeats=repeats,
        )
        for (name, _), videos in cells.items()
        for part, piece in parts(videos).items()
    ]


def _rules(cells: Cells, repeats: int) -> list[Result]:
    return [
        one
        for videos in cells.values()
        if any(len(video.faces) > 1 for video in videos)
        for one in compare_rules(videos, repeats=repeats)
    ]


def _compared(cells: Cells, judges: Mapping[str, Judge]) -> list[Table]:
    """Return every pair of checkpoints on every data set, adjusted for all tests together."""
    tests = [
        (dataset, a, b, *compare_checkpoints(
            cells[a, dataset], cells[b, dataset],
            rules=(by_name(judges[a].aggregation), by_name(judges[b].aggregation)),
        ))
        for dataset in dict.fromkeys(dataset for _, dataset in cells)
        for a, b in combinations([name for name, other in cells if other == dataset], 2)
    ]  # fmt: skip
    if not tests:
        return []
    adjusted = holm([test.p_value for *_, test in tests])
    rows = []
    for (dataset, a, b, videos, test), p in zip(tests, adjusted, strict=True):
        figures = (test.first, test.second, test.difference, test.low, test.high)
        shown = ["–" if math.isnan(x) else f"{x:.2g}" for x in (test.p_value, p)]
        count = f"{test.groups}{' (few)' if test.groups < ENOUGH_GROUPS else ''}"
        rows.append((dataset, a, b, str(videos), count, *(number(f) for f in figures), *shown))
    heads = ("Data set", "First", "Second", "Videos", "Groups", "AUROC", "AUROC", "Difference")
    return [Table("DeLong's test", (*heads, "from", "to", "p", "p (Holm)"), tuple(rows))]


def _coverage(cells: Cells, judges: Mapping[str, Judge]) -> list[Table]:
    """Return what videos without a score would do, where there are any."""
    rows = []
    for (name, dataset), videos in cells.items():
        found = coverage(videos, rule=by_name(judges[name].aggregation))
        if found.unscored:
            figures = (found.left_out, found.as_chance, found.as_real, found.as_fake)
            bounds = (found.least, found.most)
            counts = (str(found.scored), str(found.unscored), f"{found.share:.1%}")
            rows.append((name, dataset, *counts, *(number(x) for x in (*figures, *bounds))))
    heads = ("Checkpoint", "Data set", "Scored", "Not scored", "Coverage", "Left out", "By chance")
    title = "Coverage: AUROC by what videos without a score count as"
    every = (*heads, "All real", "All fake", "All wrong", "All right")
    return [Table(title, every, tuple(rows))] if rows else []


def _across(cells: Cells, judges: Mapping[str, Judge]) -> list[Table]:
    """Return one row per checkpoint that judged several data sets."""
    rows = []
    for name, judge_of in judges.items():
        mine = [(dataset, videos) for (other, dataset), videos in cells.items() if other == name]
        found = across({dataset: _judged(videos, judge_of) for dataset, videos in mine})
        if found is not None:
            figures = (found.pooled, found.mean, found.lowest, found.own, found.one, found.stored)
            rows.append((name, str(found.sets), *(number(figure) for figure in figures)))
    aurocs = ("AUROC pooled", "AUROC mean", "AUROC lowest")
    heads = ("Checkpoint", "Data sets", *aurocs, "Own threshold each", "One threshold")
    title = "Across data sets: one scale or one for each; the last three are balanced accuracy"
    return [Table(title, (*heads, "Stored threshold"), tuple(rows))] if rows else []


def _judged(videos: Sequence[ScoredVideo], judge_of: Judge) -> Judged:
    rule = by_name(judge_of.aggregation)
    return judge(videos, rule=rule, calibration=judge_of.calibration)


def _shortcuts(cells: Cells, judges: Mapping[str, Judge]) -> list[Table]:
    rows = [
        (name, dataset, trait.replace("_", " "), number(value))
        for (name, dataset), videos in cells.items()
        for trait, value in shortcuts(videos, rule=by_name(judges[name].aggregation)).items()
        if not math.isnan(value)
    ]
    heads = ("Checkpoint", "Data set", "What", "AUROC")
    title = "Shortcuts: size, sharpness and brightness of faces"
    return [Table(title, heads, tuple(rows))] if rows else []


def _curves(
    damages: Mapping[tuple[str, int], Sequence[ScoredVideo]], rule: str
) -> dict[str, list[float]]:
    """Return the AUROC over levels 0 (undamaged), 1, ... of each damage."""

    def area(chosen: Sequence[ScoredVideo]) -> float:
        judged = judge(chosen, rule=by_name(rule))
        return auroc(judged.labels, judged.raw)

    clean = area(damages.get((UNDAMAGED, 0), ()))
    found: dict[str, list[float]] = {}
    for (damage, _), videos in sorted(damages.items()):
        if damage != UNDAMAGED:
            found.setdefault(damage, [clean]).append(area(videos))
    return found


def mean_relative_drop(curve: Sequence[float]) -> float:
    """Return the mean over levels of the share of the undamaged AUROC that is lost."""
    if len(curve) < 2 or not curve[0] > 0:
        return math.nan
    return sum((curve[0] - value) / curve[0] for value in curve[1:]) / (len(curve) - 1)


def _robustness(damaged: Damaged, judges: Mapping[str, Judge]) -> list[Table]:
    rows: list[tuple[str, ...]] = []
    width = 0
    for (name, dataset), damages in damaged.items():
        curves = _curves(damages, judges[name].aggregation)
        for damage, curve in curves.items():
            width = max(width, len(curve))
            lost = mean_relative_drop(curve)
            drop = "–" if math.isnan(lost) else f"{lost:.1%}"
            rows.append((name, dataset, damage, drop, *(number(value) for value in curve)))
    if not rows:
        return []
    heads = ("Checkpoint", "Data set", "Damage", "Mean relative drop", "None")
    rows = [row + ("–",) * (4 + width - len(row)) for row in rows]
    levels = tuple(f"Level {level}" for level in range(1, width))
    return [Table("Robustness: AUROC of damaged videos", (*heads, *levels), tuple(rows))]


def _draw(
    cells: Cells, damaged: Damaged, judges: Mapping[str, Judge], folder: Path
) -> list[Picture]:
    pictures: list[Picture] = []

    def keep(figure: "Figure", name: str, words: str) -> None:
        _, svg = plots.save(figure, folder, _file_name(name))
        pictures.append(Picture(svg, words))

    judged = {key: _judged(videos, judges[key[0]]) for key, videos in cells.items()}
    named = {f"{name} on {dataset}": one for (name, dataset), one in judged.items()}
    keep(plots.plot_roc(named), "roc", "ROC curves with their areas")
    keep(plots.plot_precision_recall(named), "precision-recall", "Precision over recall")
    for name, one in named.items():
        if not one.labels.size:
            continue
        keep(plots.plot_reliability(one), f"reliability {name}", f"Reliability of {name}")
        keep(plots.plot_histogram(one), f"histogram {name}", f"Scores of {name}")
        keep(plots.plot_confusion(one), f"confusion {name}", f"Confusion of {name}")
    for (name, dataset), one in judged.items():
        fitted = judges[name].calibration
        if fitted is not None and fitted.least_ratio is not None and one.labels.size:
            title = f"{name} on {dataset}"
            figure = plots.plot_tippett(one, fitted.log_ratios(one.raw))
            keep(figure, f"tippett {title}", f"Likelihood ratios (Tippett) of {title}")
    for (name, dataset), damages in damaged.items():
        title = f"{name} on {dataset}"
        curves = _curves(damages, judges[name].aggregation)
        figure = plots.plot_robustness(curves, "Robustness")
        keep(figure, f"robustness {title}", f"AUROC under damage, {title}")
    return pictures


def _maps(embedded: Sequence[EmbeddedFace], folder: Path) -> list[Picture]:
    pictures = []
    for name in dict.fromkeys(face.checkpoint for face in embedded):
        faces = [face for face in embedded if face.checkpoint == name]
        figure = plots.plot_embedding(faces, "Features of faces (t-SNE)")
        _, svg = plots.save(figure, folder, _file_name(f"t-SNE {name}"))
        pictures.append(Picture(svg, f"Features of {len(faces)} faces by {name}, t-SNE"))
    return pictures


def _file_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:100]


def _write_tables(found: Sequence[Table], folder: Path) -> None:
    text = "\n".join(table.markdown() for table in found)
    (folder / "tables.md").write_text(text, "utf-8")
    (folder / "tables").mkdir(exist_ok=True)
    for table in found:
        name = _file_name(table.title.partition(":")[0].partition("[")[0])
        (folder / "tables" / f"{name}.tex").write_text(table.latex(), "utf-8")


def _write_scores(cells: Cells, judges: Mapping[str, Judge], folder: Path) -> None:
    """Write the score of each video, as others read it: a CSV for each checkpoint and data set."""
    folder.mkdir(exist_ok=True)
    for (name, dataset), videos in cells.items():
        path = folder / f"{_file_name(f'{name} on {dataset}')}.scores.csv"
        write_predictions(path, videos, rule=by_name(judges[name].aggregation))


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

"""Results as Markdown, CSV and LaTeX."""

import csv
import io
import math
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from deepfake.evaluation.intervals import Interval
from deepfake.evaluation.summary import Estimate, Result

TITLES = {
    "auroc": "AUROC",
    "average_precision": "AP",
    "eer": "EER",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "f1": "F1",
    "false_alarms": "Reals called fake",
    "misses": "Fakes called real",
    "log_loss": "Log loss",
    "brier": "Brier",
    "ece": "ECE",
    "ece_raw": "ECE before calibration",
    "aurc": "AURC",
    "cllr": "Cllr (bits)",
    "cllr_min": "Cllr, best calibration",
    "tpr_at_fpr_01": "TPR at 0.1 % FPR",
    "tpr_at_fpr_1": "TPR at 1 % FPR",
    "tpr_at_fpr_10": "TPR at 10 % FPR",
    "partial_auroc": "Partial AUROC (to 10 % FPR)",
}
OF_PARTS = ("auroc", "false_alarms", "misses")
ENDS = "[by video] [by identity]"  # of intervals
Row = tuple[str | int | float, ...]
SEED = re.compile(r"[-_./]?seed[-_=]?\d+", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """A table of texts: title, heads and rows of equal length."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return a GitHub table under its title."""
        rows = (self.heads, ["---"] * len(self.heads), *self.rows)
        lines = ["| " + " | ".join(_md(text) for text in row) + " |" for row in rows]
        return "\n".join([f"## {_md(self.title)}", "", *lines, ""])

    def latex(self) -> str:
        """Return a tabular that needs the package booktabs."""
        head, *body = (" & ".join(map(_tex, row)) + r" \\" for row in (self.heads, *self.rows))
        begin = r"\begin{tabular}{" + "l" * len(self.heads) + "}"
        lines = [f"% {self.title}", begin, r"\toprule", head, r"\midrule", *body, r"\bottomrule"]
        return "\n".join([*lines, r"\end{tabular}", ""])


def table(title: str, heads: Sequence[str], rows: Iterable[Row]) -> list[Table]:
    """Return a table of texts and numbers, as `number` writes them; none where it has no row."""
    texts = tuple(tuple(number(c) if isinstance(c, float) else str(c) for c in row) for row in rows)
    return [Table(title, tuple(heads), texts)] if texts else []


def number(value: float) -> str:
    """Return a number with three digits, or a dash where there is none."""
    return "–" if math.isnan(value) else f"{value:.3f}"


def span(interval: Interval) -> str:
    """Return an interval in brackets, or a dash where there is none."""
    if math.isnan(interval.low):
        return "–"
    return f"[{interval.low:.3f}, {interval.high:.3f}]"


def cell(estimate: Estimate) -> str:
    """Return a value with its intervals by video and by identity."""
    if math.isnan(estimate.value):
        return "–"
    parts = [number(estimate.value), span(estimate.by_video), span(estimate.by_identity)]
    return " ".join(parts).removesuffix(" – –")


def cross_table(results: Sequence[Result], measure: str = "auroc") -> Table:
    """Return checkpoints and levels down, data sets across.

    Checkpoints whose names differ in "seed1", "seed2" alone get a row more with mean and standard
    deviation.
    """
    datasets = list(dict.fromkeys(r.dataset for r in results))
    rows: dict[tuple[str, str], dict[str, Result]] = defaultdict(dict)
    for r in results:
        rows[r.checkpoint, r.level][r.dataset] = r
    lines = [
        (name, level, *(_counted(found[d], measure) if d in found else "–" for d in datasets))
        for (name, level), found in rows.items()
    ]
    seeds: dict[tuple[str, str], list[dict[str, Result]]] = defaultdict(list)
    for (name, level), found in rows.items():
        if SEED.search(name):
            seeds[SEED.sub("", name), level].append(found)
    for (name, level), runs in seeds.items():
        if len(runs) > 1:
            values = [
                [run[d].estimates[measure].value for run in runs if d in run] for d in datasets
            ]
            lines.append((f"{name}, {len(runs)} seeds", level, *(_deviation(v) for v in values)))
    title = f"{TITLES[measure]} [95 % interval by video] [by identity]"
    return Table(title, ("Checkpoint", "Level", *datasets), tuple(lines))


def _counted(result: Result, measure: str) -> str:
    """Return the estimate, and how many videos it speaks for where those are not all."""
    text = cell(result.estimates[measure])
    if result.level != "video" or not result.unscored:
        return text
    scored = result.reals + result.fakes
    return f"{text} ({scored} of {scored + result.unscored} scored)"


def _deviation(values: Sequence[float]) -> str:
    defined = [value for value in values if not math.isnan(value)]
    if len(defined) < 2:
        return "–"
    return f"{statistics.mean(defined):.3f} ± {statistics.stdev(defined):.3f}"


def measures_table(results: Sequence[Result]) -> Table:
    """Return every measure down, one column per checkpoint and data set."""
    heads = ["Measure", *(f"{r.checkpoint} on {r.dataset}" for r in results)]
    found = dict.fromkeys([*TITLES, *(name for r in results for name in r.estimates)])
    names = [name for name in found if any(name in r.estimates for r in results)]
    rows: list[tuple[str, ...]] = [
        (TITLES.get(n, n), *(cell(r.estimates[n]) if n in r.estimates else "–" for r in results))
        for n in names
    ]
    counts = {
        "Real videos": "reals",
        "Fake videos": "fakes",
        "Videos without a score": "unscored",
        "Videos undecided": "undecided",
        "Independent groups": "groups",
    }
    rows += [(text, *(str(getattr(r, n)) for r in results)) for text, n in counts.items()]
    return Table("Videos: every measure", tuple(heads), tuple(rows))


def parts_table(results: Sequence[Result]) -> list[Table]:
    """Return one row per part of a data set."""
    return _listed("Parts", results, {"Part": "part", "Real": "reals", "Fake": "fakes"}, OF_PARTS)


def rules_table(results: Sequence[Result]) -> list[Table]:
    """Return one row per aggregation rule."""
    names = ("auroc", "average_precision", "eer")
    return _listed("Aggregation rules on the same face scores", results, {"Rule": "rule"}, names)


def _listed(
    title: str, results: Sequence[Result], about: Mapping[str, str], names: Sequence[str]
) -> list[Table]:
    """Return a row per result: fields by their heads, and measures."""
    heads = ("Checkpoint", "Data set", *about, *(f"{TITLES[n]} {ENDS}" for n in names))
    fields = ("checkpoint", "dataset", *about.values())
    rows = [
        (*(getattr(r, field) for field in fields), *(cell(r.estimates[n]) for n in names))
        for r in results
    ]
    return table(title, heads, rows)


def results_csv(results: Iterable[Result]) -> str:
    """Return every figure in long form: one row per result and measure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    about = ("checkpoint", "dataset", "level", "part", "rule")
    ends = ("value", "low_video", "high_video", "low_identity", "high_identity")
    writer.writerow([*about, "real", "fake", "unscored", "undecided", "groups", "measure", *ends])
    for r in results:
        counts = [r.reals, r.fakes, r.unscored, r.undecided, r.groups]
        for name, e in r.estimates.items():
            figures = [e.value, e.by_video.low, e.by_video.high]
            figures += [e.by_identity.low, e.by_identity.high]
            texts = ["" if math.isnan(figure) else repr(float(figure)) for figure in figures]
            writer.writerow(
                [r.checkpoint, r.dataset, r.level, r.part, r.rule, *counts, name, *texts]
            )
    return text.getvalue()


def _md(text: str) -> str:
    # Names come from files: no markup of theirs may reach a page.
    return re.sub(r"([\\`*|<>])", r"\\\1", "".join(c if c.isprintable() else " " for c in text))


def _tex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {"±": r"$\pm$", "–": "--"}
    text = "".join(c if c.isprintable() else " " for c in text)
    return "".join(special.get(c, "\\" + c if c in "&%$#_{}" else c) for c in text)

"""Figures of scores: ROC, DET, precision and recall, reliability, histograms, and more.

Each function returns a matplotlib figure on the Agg canvas; no window and no global state.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from deepfake.evaluation import measures as m
from deepfake.evaluation.likelihood import tippett
from deepfake.evaluation.summary import Judged, all_measures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

REAL, FAKE = "#0072b2", "#d55e00"  # told apart by the colour-blind (Okabe and Ito)
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8a8a8a")
MARKERS = "o^sDvP"
Place = Literal["lower left", "lower right", "upper left", "upper right", "upper center", "best"]
SIZE = (4.8, 4.2)  # inches
DET = (0.001, 0.01, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95)  # rates at the ticks; the ends are the frame


def _figure(title: str, x: str, y: str) -> tuple["Figure", "Axes"]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, alpha=0.25)
    return figure, axes


def plot_roc(judged: Mapping[str, Judged]) -> "Figure":
    """Draw a ROC curve for each name; those of one class are left out."""
    figure, axes = _figure("ROC, videos", "False positive rate", "True positive rate")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, linestyle="--")
    for one, style in _each(judged, "auroc"):
        curve = m.roc(one.labels, one.scores)
        axes.plot(curve.fpr, curve.tpr, **style)
    _legend(axes, "lower right")
    return figure


def plot_det(judged: Mapping[str, Judged]) -> "Figure":
    """Draw false negatives over false positives on normal deviates (Martin et al., 1997).

    Scores of two normals of one width give a straight line; strict rates take as much room as
    others, where a ROC curve shows them at its edge. Rates of 0 and 1 lie on the frame.
    """
    from scipy.special import ndtri

    figure, axes = _figure("DET, videos", "False positive rate", "False negative rate")
    axes.plot(ndtri([DET[0], DET[-1]]), ndtri([DET[0], DET[-1]]), color="0.7", linestyle="--")
    for one, style in _each(judged, "eer"):
        curve = m.roc(one.labels, one.scores)
        rates = np.clip([curve.fpr, 1 - curve.tpr], DET[0], DET[-1])
        axes.plot(*ndtri(rates), clip_on=False, **style)
    names = [f"{rate:.3g} %" for rate in 100 * np.array(DET)]
    axes.set(xticks=ndtri(DET), yticks=ndtri(DET), yticklabels=names)
    axes.set_xticklabels(names, rotation=60)
    _legend(axes, "upper right")
    return figure


def plot_risk_coverage(judged: Mapping[str, Judged]) -> "Figure":
    """Draw the error rate of the surest videos over their share of all, with the area below."""
    title = "Risk and coverage, videos"
    figure, axes = _figure(title, "Share decided, the surest first", "Error rate of the decided")
    for one, style in _each(judged, "aurc"):
        risk = m.risks(one.labels, one.scores, threshold=one.threshold)
        axes.plot(np.arange(1, risk.size + 1) / risk.size, risk, **style)
    axes.set(xlim=(0, 1.02), ylim=(0, None))
    _legend(axes, "best")
    return figure


def plot_precision_recall(judged: Mapping[str, Judged]) -> "Figure":
    """Draw precision over recall for each name."""
    figure, axes = _figure("Precision and recall, videos", "Recall", "Precision")
    for one, style in _each(judged, "average_precision"):
        precision, recall = m.precision_recall(one.labels, one.scores)
        steps = np.append(0.0, recall), np.append(precision[0], precision)
        axes.step(*steps, where="pre", **style)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    _legend(axes, "lower left")
    return figure


def _each(judged: Mapping[str, Judged], measure: str) -> Iterator[tuple[Judged, dict[str, Any]]]:
    """Yield those that have a figure, with their colour and, for the legend, name and figure."""
    for colour, (name, one) in zip(cycle(COLOURS), judged.items(), strict=False):
        value = all_measures(one.threshold)[measure](one.labels, one.scores)
        if np.isfinite(value):
            yield one, {"color": colour, "label": f"{_plain(name)}  {value:.3f}"}


def plot_reliability(judged: Judged, *, bins: int = 10) -> "Figure":
    """Draw the share of fakes over the score, before and after calibration."""
    figure, axes = _figure("Reliability", "Mean P(fake) of the bin", "Share of fakes")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, linestyle="--")
    drawn = [(judged.raw, "as scored", COLOURS[-1])]
    if not np.array_equal(judged.raw, judged.scores):
        drawn.append((judged.scores, "calibrated", REAL))
    for scores, name, colour in drawn:
        score, fake, count = m.reliability(judged.labels, scores, bins=bins)
        seen = count > 0
        error = m.ece(judged.labels, scores)
        axes.plot(score[seen], fake[seen], color=colour, label=f"{name}, ECE {error:.3f}")
        size = 12 + 120 * count[seen] / max(count.max(), 1)
        axes.scatter(score[seen], fake[seen], s=size, color=colour)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    _legend(axes, "upper left")
    return figure


def plot_histogram(judged: Judged) -> "Figure":
    """Draw how the scores of reals and fakes are spread, with the threshold."""
    figure, axes = _figure("Scores", "P(fake)", "Videos")
    edges = np.linspace(0, 1, 21).tolist()
    for label, name, colour in ((0, "real", REAL), (1, "fake", FAKE)):
        scores = judged.scores[judged.labels == label]
        axes.hist(scores, bins=edges, color=colour, alpha=0.6, label=f"{name} ({scores.size})")
    axes.axvline(judged.threshold, color="0.2", linewidth=1, label="threshold")
    _legend(axes, "upper center")
    return figure


def plot_confusion(judged: Judged) -> "Figure":
    """Draw how many videos of each class are called what at the threshold."""
    figure, axes = _figure(f"Confusion at {judged.threshold:.2f}", "Called", "Is")
    found = m.confusion(judged.labels, judged.scores, threshold=judged.threshold)
    counts = np.reshape(found, (2, 2))
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if share[row, column] > 0.5 else "black"
        text = f"{count}\n{share[row, column]:.0%}"
        axes.text(column, row, text, ha="center", va="center", color=colour)
    axes.set(xticks=[0, 1], yticks=[0, 1], xticklabels=["real", "fake"])
    axes.set_yticklabels(["real", "fake"])
    axes.grid(visible=False)
    return figure


def plot_tippett(judged: Judged, log_ratios: "NDArray[np.float64]") -> "Figure":
    """Draw the share of videos of each class whose likelihood ratio is at least so much."""
    figure, axes = _figure("Tippett", "log10 likelihood ratio", "Share with at least that")
    for label, name, colour in ((0, "real", REAL), (1, "fake", FAKE)):
        x, share = tippett(log_ratios[judged.labels == label] / np.log(10))
        axes.step(x, share, where="pre", color=colour, label=name)
    axes.axvline(0, color="0.7", linewidth=1, linestyle="--")
    _legend(axes, "lower left")
    return figure


def plot_robustness(curves: Mapping[str, Sequence[float]], title: str) -> "Figure":
    """Draw the video AUROC of each damage over levels 0 (none) to 5."""
    figure, axes = _figure(title, "Level of damage", "AUROC, videos")
    axes.axhline(0.5, color="0.7", linewidth=1, linestyle="--")
    for colour, (name, values) in zip(cycle(COLOURS), curves.items(), strict=False):
        axes.plot(range(len(values)), values, color=colour, marker="o", markersize=3, label=name)
    _legend(axes, "lower left")
    return figure


def plot_embedding(faces: Sequence[Mapping[str, Any]], title: str) -> "Figure":
    """Draw where t-SNE puts faces: colours are classes, signs are data sets."""
    figure, axes = _figure(title, "", "")
    names = ((0, "real", REAL), (1, "fake", FAKE), (None, "unknown", COLOURS[-1]))
    datasets = list(dict.fromkeys(face["dataset"] for face in faces))
    for number, dataset in enumerate(datasets):
        for label, name, colour in names:
            of = (dataset, label)
            points = [(f["x"], f["y"]) for f in faces if (f["dataset"], f["label"]) == of]
            if points:
                words = f"{name}, {_plain(dataset)}" if len(datasets) > 1 else name
                x, y = zip(*points, strict=True)
                axes.scatter(x, y, s=12, alpha=0.7, linewidths=0.8, color=colour,
                             marker=MARKERS[number % len(MARKERS)], label=words)  # fmt: skip
    axes.set(xticks=[], yticks=[])  # neither axis nor distances between groups mean anything
    _legend(axes, "best")
    return figure


def save(figure: "Figure", folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG and SVG; the same figure gives the same bytes."""
    from matplotlib import rc_context

    from preprocessing.video.files import MARK

    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    figure.savefig(paths[0], dpi=130, metadata={"Software": MARK.decode()})
    with rc_context({"svg.hashsalt": "deepfake", "svg.fonttype": "path"}):
        figure.savefig(paths[1], metadata={"Date": None})
    return paths


def _plain(text: str) -> str:
    # A dollar sign would start a formula, and a bad one stops the drawing.
    return "".join(c if c.isprintable() else " " for c in text).replace("$", r"\$")


def _legend(axes: "Axes", place: Place) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc=place, fontsize="small", frameon=False)

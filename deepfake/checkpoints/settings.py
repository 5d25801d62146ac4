"""The plain part of a checkpoint: the one format in which its settings are kept, as JSON types."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from deepfake.aggregation import DEFAULT, by_name
from deepfake.calibration import Calibration
from deepfake.checkpoints.gauge import Gauge
from deepfake.checkpoints.validation import ValidationScores
from deepfake.errors import CheckpointError
from deepfake.recipe import InputRecipe
from preprocessing.options import options_from_dict
from preprocessing.types import PreprocessOptions

VERSION = 1
KEY = "deepfake"  # of our entry in a checkpoint, and in a graph's metadata


@dataclass(frozen=True)
class Settings:
    """What verdicts depend on beside the network's weights.

    Args:
        recipe: From a crop to the network's input.
        preprocess: From a video to crops.
        calibration: From a video's raw score to its probability and verdict.
        aggregation: The rule from faces to a video, as `deepfake.aggregation.by_name` takes it.
        network: Class path and arguments that rebuild the network.
        frames: Crops that the network takes at once, T; 1 for single faces.
        note: What a person should know of it, in a line.
        limits: What it cannot do, as its card says.
        validation: Scores on which any rule can be calibrated, where they are kept.
        gauge: Tells clips that are unlike the validation videos, where it is kept.
    """

    recipe: InputRecipe
    preprocess: PreprocessOptions
    calibration: Calibration = field(default_factory=Calibration)
    aggregation: str = DEFAULT
    network: Mapping[str, Any] | None = None
    frames: int = 1
    note: str = ""
    limits: tuple[str, ...] = ()
    validation: ValidationScores | None = None
    gauge: Gauge | None = None

    def calibration_for(self, rule: str) -> Calibration:
        """Return the calibration that belongs to a rule; an unfitted one for others."""
        if rule == self.aggregation:
            return self.calibration
        known = self.calibration
        other = replace(self, aggregation=rule)
        return other.fit(false_alarms=known.false_alarms, target_error=known.target_error)

    def fit(self, *, false_alarms: float, target_error: float) -> Calibration:
        """Return the calibration that the validation scores bear out, else an unfitted one."""
        if self.validation is None:
            return Calibration()
        return self.validation.calibration(
            by_name(self.aggregation), false_alarms=false_alarms, target_error=target_error
        )

    @property
    def looks_for(self) -> str:
        """Say what the network sees, and so what its answer is about."""
        how = "picture by picture" if self.frames == 1 else f"in {self.frames} pictures at a time"
        return f"traces of a changed or swapped face, {how}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, with the version of their layout."""
        content = {field.name: getattr(self, field.name) for field in fields(Settings)}
        content |= {
            "version": VERSION,
            "recipe": asdict(self.recipe),
            "preprocess": asdict(self.preprocess),
            "calibration": self.calibration.to_dict(),
        }
        if not self.limits:
            del content["limits"]
        for name, part in (("validation", self.validation), ("gauge", self.gauge)):
            if part is None:
                del content[name]
            else:
                content[name] = part.to_dict()
        return content

    def to_json(self) -> str:
        """Return what `from_json` reads."""
        return json.dumps(self.to_dict(), indent=1, sort_keys=True, allow_nan=False)

    @classmethod
    def from_dict(cls, content: object, path: Path) -> "Settings":
        """Read what `to_dict` wrote.

        Args:
            content: Of the file.
            path: The file, for errors.

        Raises:
            CheckpointError: It is of a newer version, incomplete, or of wrong types.
        """
        try:
            if not isinstance(content, Mapping):
                raise TypeError(f"expected a mapping, got {type(content).__name__}")
            version = content["version"]
            if not isinstance(version, int) or version > VERSION:
                raise CheckpointError(
                    f"{path} has checkpoint version {version}; this program reads up to {VERSION}. "
                    "Update it."
                )
            rule = content.get("aggregation") or DEFAULT
            by_name(rule)
            fitted, scores, gauge = map(content.get, ("calibration", "validation", "gauge"))
            return cls(
                recipe=recipe_from_dict(content["recipe"]),
                preprocess=options_from_dict(dict(content["preprocess"])),
                calibration=Calibration() if fitted is None else Calibration.from_dict(fitted),
                aggregation=rule,
                network=content.get("network"),
                frames=int(content.get("frames", 1)),
                note=str(content.get("note", "")),
                limits=_texts(content.get("limits", [])),
                validation=None if scores is None else ValidationScores.from_dict(scores),
                gauge=None if gauge is None else Gauge.from_dict(gauge),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path} is not a checkpoint of this project: {error}") from error

    @classmethod
    def from_json(cls, text: str, path: Path) -> "Settings":
        """Read what `to_json` wrote; as `from_dict`."""
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{path}: its settings are not JSON: {error}") from error
        return cls.from_dict(content, path)


def _texts(content: object) -> tuple[str, ...]:
    if not isinstance(content, list | tuple) or not all(isinstance(text, str) for text in content):
        raise TypeError("limits must be a list of texts")
    return tuple(content)


def recipe_from_dict(content: Mapping[str, Any]) -> InputRecipe:
    """Return a recipe from plain JSON types.

    Raises:
        ValueError: A name is unknown, or a value is wrong.
    """
    unknown = set(content) - {field.name for field in fields(InputRecipe)}
    if unknown:
        raise ValueError(f"unknown recipe entry {', '.join(sorted(unknown))}")
    values = dict(content)
    for name in ("mean", "std"):
        if name in values:
            values[name] = tuple(float(value) for value in values[name])
    return InputRecipe(**values)

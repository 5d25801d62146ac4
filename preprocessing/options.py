"""Options of preprocessing from plain types, as files and checkpoints keep them."""

import math
from dataclasses import fields, replace
from typing import Any

from preprocessing.types import PreprocessOptions


def options_from_dict(content: dict[str, Any]) -> PreprocessOptions:
    """Return options from plain JSON types.

    Raises:
        ValueError: A name or value is unknown.
    """
    unknown = set(content) - {field.name for field in fields(PreprocessOptions)}
    if unknown:
        raise ValueError(f"unknown option {', '.join(sorted(unknown))}")
    options = PreprocessOptions(**content)
    thresholds = tuple(float(value) for value in options.thresholds)
    if len(thresholds) != 3 or not all(math.isfinite(value) for value in thresholds):
        raise ValueError(f"thresholds must be three numbers, got {options.thresholds}")
    first, second, third = thresholds
    return replace(options, thresholds=(first, second, third))

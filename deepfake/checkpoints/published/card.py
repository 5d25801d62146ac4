"""Families of published checkpoints as cards: YAML that says all that a family is, without code.

The project's own cards lie in `families`. A user's lies beside the weights: `theirs.yaml` beside
`theirs.pth`. A file holds one card or a list of them; docs/extending/weights.md names every entry.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepfake.aggregation import RULES
from deepfake.checkpoints.build import build
from deepfake.checkpoints.published.base import PublishedModel
from deepfake.checkpoints.published.convert import (
    fake_minus_real,
    fold_residuals,
    load_strictly,
)
from deepfake.checkpoints.settings import recipe_from_dict
from deepfake.errors import CheckpointError
from preprocessing.options import options_from_dict

FAMILIES = Path(__file__).parent / "families"
SUFFIX = ".yaml"


@dataclass(frozen=True)
class Card:
    """What a family of published checkpoints is.

    Args:
        name: Of the family.
        tensors: Names that a file of it has, each with its shape, in which None is any number; or
            None for any shape.
        network: `class_path` and `init_args` of one of this project's networks.
        licence: Of the published weights.
        output: What the published output is, in words.
        rename: Pattern and replacement, or a list of replacements, applied in turn.
        split: Tensors to be cut into equal rows: a part of the name and the parts that replace it.
        join: Tensors to be put under one another: the name's new part and the parts it replaces.
        scale: Pattern and factor of tensors to be multiplied.
        sized: Our names of parameters that are as large as the file has them, such as tables of
            positions that have more rows than are used.
        measured: A table with a position a patch of a square face, and the side of a patch, in
            pixels or as the last axis of a tensor: they tell `image_size` and then `patch_size`.
        unused: Patterns of tensors that the published network holds and does not use.
        head: The layer with two columns, by its name here; empty for networks of one logit.
        fake: Which column is that of fake.
        recipe: From a crop to the network's input.
        preprocess: From a video to crops, as `PreprocessOptions`.
        aggregation: The published rule from faces to a video.
        clip: Frames that the network takes at once.
        file: What the published file is called.
        where: Where it is to be found, a repository or an address.
        paper: Its address.
        reported: Figures that its authors report, in words.
    """

    name: str
    tensors: Mapping[str, Sequence[int | None] | None]
    network: Mapping[str, Any]
    licence: str
    output: str
    rename: Sequence[Sequence[Any]] = ()
    split: Mapping[str, Sequence[str]] = field(default_factory=dict)
    join: Mapping[str, Sequence[str]] = field(default_factory=dict)
    scale: Mapping[str, float] = field(default_factory=dict)
    sized: Sequence[str] = ()
    measured: Sequence[Any] = ()
    unused: Sequence[str] = ()
    head: str = ""
    fake: int = 1
    recipe: Mapping[str, Any] = field(default_factory=dict)
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    aggregation: str = "mean"
    clip: int = 1
    file: str = ""
    where: str = ""
    paper: str = ""
    reported: str = ""

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Tell whether these are tensors of the family."""
        return all(
            name in state and (shape is None or _fits(state[name].shape, shape))
            for name, shape in self.tensors.items()
        )

    def load(self, state: Mapping[str, Tensor]) -> PublishedModel:
        """Return the network with its weights and the recipe.

        Raises:
            CheckpointError: A tensor is missing, unknown or of another shape.
        """
        measured = self._measured(state)
        arguments = {**(self.network.get("init_args") or {}), **measured}
        spec = {**self.network, "init_args": arguments}
        network = build(spec)
        tensors = self._converted(state)
        for name in set(self.sized) & set(tensors):
            module, _, leaf = name.rpartition(".")
            parameter = nn.Parameter(torch.empty(tensors[name].shape))
            setattr(network.get_submodule(module), leaf, parameter)
        for name, own in network.state_dict().items():
            if name in tensors and _squeezed(tensors[name]) == _squeezed(own):
                tensors[name] = tensors[name].reshape(own.shape)
        load_strictly(network, tensors, family=self.name)
        size = {"image_size": measured["image_size"]} if measured else {}
        return PublishedModel(
            name=self.name,
            network=network,
            recipe=recipe_from_dict({**self.recipe, **size}),
            preprocess=options_from_dict(dict(self.preprocess)),
            output=self.output,
            licence=self.licence,
            aggregation=self.aggregation,
            frames=self.clip,
            spec=None if self.sized else spec,
        )

    def _measured(self, state: Mapping[str, Tensor]) -> dict[str, int]:
        if not self.measured:
            return {}
        positions, patch = self.measured
        told = isinstance(patch, str)
        side = state[patch].shape[-1] if told else patch
        found = {"image_size": side * round(state[positions].shape[1] ** 0.5)}
        return found | ({"patch_size": side} if told else {})

    def _converted(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors that are used, by our names and as we hold them."""
        used = {
            name: tensor
            for name, tensor in state.items()
            if not any(re.search(pattern, name) for pattern in self.unused)
        }
        tensors = _copied(fold_residuals(used), self.rename)
        tensors = _joined(_split(tensors, self.split), self.join)
        for pattern, factor in self.scale.items():
            found = [name for name in tensors if re.search(pattern, name)]
            tensors |= {name: tensors[name] * factor for name in found}
        for name in (f"{self.head}.weight", f"{self.head}.bias"):
            if self.head and name in tensors:
                if len(tensors[name]) != 2:
                    raise CheckpointError(
                        f"Not a {self.name} checkpoint: its head has {len(tensors[name])} columns, "
                        "expected two, real and fake."
                    )
                tensors[name] = fake_minus_real(tensors[name], fake=self.fake)
        return tensors


def _fits(shape: torch.Size, wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and all(
        side in (None, found) for found, side in zip(shape, wanted, strict=True)
    )


def _squeezed(tensor: Tensor) -> list[int]:
    return [side for side in tensor.shape if side != 1]


def _copied(state: Mapping[str, Tensor], rules: Sequence[Sequence[Any]]) -> dict[str, Tensor]:
    """Return the tensors under new names; where a rule has several replacements, under each."""
    tensors = dict(state)
    for pattern, replacement in rules:
        targets = [replacement] if isinstance(replacement, str) else replacement
        tensors = {
            re.sub(pattern, target, name): tensor
            for target in targets
            for name, tensor in tensors.items()
        }
    return tensors


def _split(state: dict[str, Tensor], parts: Mapping[str, Sequence[str]]) -> dict[str, Tensor]:
    """Return the tensors with some as equal pieces, each under a name of its own."""
    for whole, pieces in parts.items():
        for name in [name for name in state if whole in name]:
            rows = state.pop(name).chunk(len(pieces))
            state |= {name.replace(whole, p): row for p, row in zip(pieces, rows, strict=False)}
    return state


def _joined(state: dict[str, Tensor], parts: Mapping[str, Sequence[str]]) -> dict[str, Tensor]:
    """Return the tensors with those that differ in a part of their name under one another."""
    for whole, pieces in parts.items():
        for first in [name for name in state if pieces[0] in name]:
            names = [first.replace(pieces[0], piece) for piece in pieces]
            if all(name in state for name in names):
                joined = torch.cat([state.pop(name) for name in names])
                state[first.replace(pieces[0], whole)] = joined
    return state


@cache
def known_cards() -> tuple[Card, ...]:
    """Return the project's own cards."""
    return tuple(card for path in sorted(FAMILIES.glob("*" + SUFFIX)) for card in read_cards(path))


def cards_beside(checkpoint: Path) -> tuple[Card, ...]:
    """Return the cards that a user has put beside a checkpoint.

    Raises:
        CheckpointError: The file there is not a card.
    """
    path = checkpoint.with_suffix(SUFFIX)
    return read_cards(path) if path.is_file() and path != checkpoint else ()


def read_cards(path: Path) -> tuple[Card, ...]:
    """Return the cards of a YAML file.

    Raises:
        CheckpointError: It is not YAML, or an entry is unknown, missing or wrong.
    """
    import yaml

    try:
        contents = _loader()(path.read_text(encoding="utf-8")).get_single_data()
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    entries = contents if isinstance(contents, list) else [contents]
    return tuple(_card(entry, f"{path}") for entry in entries)


def _loader() -> Any:  # noqa: ANN401
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _card(entry: object, place: str) -> Card:
    names = {item.name for item in fields(Card)}
    needed = ("name", "tensors", "network", "licence", "output")
    try:
        if not isinstance(entry, Mapping):
            raise TypeError(f"a card is a mapping, found {type(entry).__name__}")
        unknown = sorted(map(str, set(entry) - names))
        missing = [name for name in needed if name not in entry]
        if unknown or missing:
            raise ValueError(f"unknown entries {unknown}, missing entries {missing}")
        card = Card(**entry)
        if not card.tensors or card.fake not in (0, 1) or card.aggregation not in RULES:
            raise ValueError("tensors must name one, fake is 0 or 1, aggregation is a known rule")
        for pattern in (*card.unused, *card.scale, *(rule[0] for rule in card.rename)):
            re.compile(pattern)
        recipe_from_dict(card.recipe)
        options_from_dict(dict(card.preprocess))
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, re.error) as error:
        raise CheckpointError(
            f"{place} is not a card of published weights: {error}. See docs/extending/weights.md."
        ) from error
    return card


def all_cards(checkpoint: Path | None) -> Iterator[Card]:
    """Yield a user's cards beside a checkpoint, then the project's."""
    if checkpoint is not None:
        yield from cards_beside(checkpoint)
    yield from known_cards()

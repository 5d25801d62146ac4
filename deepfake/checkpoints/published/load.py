"""Read a checkpoint that somebody published, recognise its network, and rebuild it here."""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from deepfake.checkpoints.published.base import PublishedModel
from deepfake.checkpoints.published.card import all_cards, known_cards
from deepfake.checkpoints.published.keras import from_keras
from deepfake.checkpoints.tensors import read_tensors
from deepfake.errors import CheckpointError
from preprocessing.options import options_from_dict
from preprocessing.types import PreprocessOptions

# The two networks of each of these are cut alike, and may be named together.
TOGETHER = {"polimi": "polimi_efficientnet_b4", "mesonet": "meso4"}

CONTAINERS = ("state_dict", "model_state_dict", "model", "net", "network")
AVERAGED = ("state_dict_ema", "ema_state_dict", "model_ema", "ema_model", "ema")
AVERAGED_PREFIXES = ("ema_model.", "model_ema.", "ema.")  # beside the network or alone
PREFIXES = ("module.", "model.", "net.", "network.", "online_model.", *AVERAGED_PREFIXES)
COMPILED = "_orig_mod."  # of a network that torch.compile had wrapped
# Buffers of the loss and of averaging, which a checkpoint of a whole training module holds too.
BESIDE = ("criterion.", "criterions.", "loss.", "loss_fn.", "loss_func.", "n_averaged", "initted")


def load_published(source: str | Path | Mapping[str, Tensor]) -> PublishedModel:
    """Return the network of a published checkpoint with its weights, recipe and output rule.

    The network is recognised from the names and shapes of the tensors alone.

    Args:
        source: A file (.pth, .pt, .ckpt, .bin, .tar, .safetensors, .h5; the content counts, not
            the name), or the tensors by name.

    Raises:
        CheckpointError: The file cannot be read safely, is of no known network, or lacks a tensor.
    """
    if isinstance(source, Mapping):
        name, contents = "the given tensors", cast("Mapping[str, Any]", source)
    else:
        name, contents = str(source), read_tensors(Path(source))
    state = from_keras(_unwrap(contents, name))
    cards = tuple(all_cards(None if isinstance(source, Mapping) else Path(source)))
    for network in _networks(state):
        for candidate in _without_prefixes(network):
            for card in cards:
                if card.matches(candidate):
                    return card.load(candidate)
    known = ", ".join(dict.fromkeys(card.name for card in cards))
    raise CheckpointError(
        f"{name} holds no network that is known here: {len(state)} tensors, beginning with "
        f"{', '.join(list(state)[:3])}. Known families of published checkpoints: {known}."
    )


def published_crops(family: str) -> PreprocessOptions:
    """Return how a published family cuts faces out of videos.

    Args:
        family: Its name, such as "sbi_efficientnet_b4" or "mesonet".

    Raises:
        CheckpointError: There is no such family.
    """
    known = {card.name: options_from_dict(dict(card.preprocess)) for card in known_cards()}
    known |= {name: known[one] for name, one in TOGETHER.items()}
    if family not in known:
        near = [name for name in known if family in name]
        near = near or difflib.get_close_matches(family, known, n=3)
        advice = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known)}."
        raise CheckpointError(f"No published recipe is called {family!r}. {advice}")
    return known[family]


def _unwrap(contents: Mapping[str, Any], name: str) -> Mapping[str, Tensor]:
    for key in (*CONTAINERS, *AVERAGED):
        inner = contents.get(key)
        if isinstance(inner, Mapping):
            return _unwrap(inner, name)
    if not contents or not all(isinstance(value, Tensor) for value in contents.values()):
        found = ", ".join(f"{key} ({type(contents[key]).__name__})" for key in list(contents)[:5])
        raise CheckpointError(
            f"{name} holds no tensors by name: expected a state_dict, bare or under "
            f"{', '.join(CONTAINERS)}; found {found or 'nothing'}."
        )
    return contents


def _networks(state: Mapping[str, Tensor]) -> Iterator[Mapping[str, Tensor]]:
    """Yield the tensors without those of the loss; apart, where an average is kept beside them."""
    state = {
        name.replace(COMPILED, ""): tensor
        for name, tensor in state.items()
        if not name.startswith(BESIDE) and name != "step"
    }
    trained = {k: v for k, v in state.items() if not k.startswith(AVERAGED_PREFIXES)}
    yield trained or state
    for prefix in AVERAGED_PREFIXES:
        averaged = {k: v for k, v in state.items() if k.startswith(prefix)}
        if trained and averaged:
            yield averaged


def _without_prefixes(state: Mapping[str, Tensor]) -> Iterator[Mapping[str, Tensor]]:
    """Yield the tensors as named, then without each prefix that all of them share."""
    yield state
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in state):
            yield from _without_prefixes({k.removeprefix(prefix): v for k, v in state.items()})

"""docs/networks.md has a row for every network, with its true number of parameters."""

import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest
import torch
from torch import nn

import deepfake.models
from benchmarks.networks import with_cards

DOCUMENT = Path(__file__).parents[3] / "docs" / "networks.md"
ROWS = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
TABLE = [[cell.strip() for cell in row.strip("|").split("|")] for row in ROWS]
MEASURED = [cells for cells in TABLE if cells[0].endswith(")`")]


def networks() -> dict[str, type[nn.Module]]:
    """Return the classes of deepfake.models that give features and logits, by name."""
    found = {}
    for module in pkgutil.iter_modules(deepfake.models.__path__, "deepfake.models."):
        for name, member in inspect.getmembers(
            importlib.import_module(module.name), inspect.isclass
        ):
            public = not name.startswith("_") and member.__module__ == module.name
            public = public and module.name != "deepfake.models.network"  # what they have in common
            if public and hasattr(member, "forward_features"):
                found[name] = member
    return found


def test_the_table_of_cards_is_that_of_the_cards() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert with_cards(document) == document, "run `python -m benchmarks.networks --cards`"


def test_every_network_has_a_row() -> None:
    named = {cells[0].strip("`").split("(")[0].split(".")[0] for cells in MEASURED}
    assert named == set(networks())


@pytest.mark.parametrize("cells", MEASURED, ids=lambda cells: cells[0])
def test_number_of_parameters_is_true(cells: list[str]) -> None:
    with torch.device("meta"):
        network: nn.Module = eval(cells[0].strip("`"), dict(networks()))  # of our own document
    assert f"{sum(parameter.numel() for parameter in network.parameters()):,}" == cells[2]

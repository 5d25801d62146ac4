"""The example of docs/extending/network.md works from outside the package."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from torch import nn

ROOT = Path(__file__).parents[3]
FIND_BY_CLASS_PATH = """
from jsonargparse import ArgumentParser
from torch import nn

parser = ArgumentParser()
parser.add_argument("--network", type=nn.Module)
given = {"class_path": "my_networks.ResidualNet", "init_args": {"width": 8}}
network = parser.instantiate_classes(parser.parse_object({"network": given})).network
print(type(network).__module__, network.num_features)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the example's file, as it stands in the document."""
    document = (ROOT / "docs" / "extending" / "network.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", document, flags=re.DOTALL)
    assert example is not None
    assert len([line for line in example[1].splitlines() if line.strip()]) <= 31
    (tmp_path / "my_networks.py").write_text(example[1], encoding="utf-8")
    return tmp_path


def test_example_network_keeps_the_contract(
    folder: Path, contract: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(folder)
    network: nn.Module = __import__("my_networks").ResidualNet()
    contract.holds(network, [224, 96])
    contract.onnx_export_agrees(network, contract.random_faces(64), folder / "n.onnx")


def test_example_network_is_found_by_its_class_path(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIND_BY_CLASS_PATH],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["my_networks", "64"], done.stderr

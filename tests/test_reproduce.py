"""The page that reproduces a table: its commands, one after the other, and the table they make."""

import csv
import importlib
import re
import shlex
from pathlib import Path

import pytest

import deepfake.data.__main__ as data
from deepfake import evaluate, preprocess
from deepfake.models.backbones import lite0_imagenet_weights

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "reproduce.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]


def run(command: str) -> None:
    """Run one command of the page in this process, to import what is heavy only once."""
    python, minus_m, name, *arguments = shlex.split(command)
    assert (python, minus_m) == ("python", "-m")
    module = "deepfake.data.__main__" if name == "deepfake.data" else name
    assert not importlib.import_module(module).main(arguments), command


def test_files_that_it_names_exist() -> None:
    for target in re.findall(r"\]\(([a-z]+\.md)", PAGE):
        assert (ROOT / "docs" / target).is_file(), target
    for config in re.findall(r"configs/\w+\.yaml", PAGE):
        assert (ROOT / config).is_file(), config


def test_commands_are_understood() -> None:
    assert len(COMMANDS) == 12
    parsers = {
        "deepfake.preprocess": preprocess.parser,
        "deepfake.data": data.parser,
        "deepfake.evaluate": evaluate.parser,
    }
    read = 0
    for command in COMMANDS:
        _, _, name, *arguments = shlex.split(command)
        if arguments[0] == "report":
            evaluate.report_parser().parse_args(arguments[1:])
        elif name in parsers:
            parsers[name]().parse_args(arguments)
            read += 1
    assert read == 7


@pytest.mark.slow
@pytest.mark.timeout(3600)  # two trainings, on a machine that may be busy
def test_its_commands_make_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if lite0_imagenet_weights() is None:
        pytest.skip("the extra `pretrained` is not installed")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    for command in COMMANDS:
        run(command)
    report = tmp_path / "runs" / "table-report"
    text = (report / "tables.md").read_text(encoding="utf-8")
    heads = next(line for line in text.splitlines() if line.startswith("| Checkpoint | Level |"))
    assert re.search(r"FaceForensics\+\+, ffpp 1 \(\w{8}\) \| Celeb-DF-v2, celeb-df 1 \(", heads)
    (row,) = re.findall(r"(?m)^\| table/best, 2 seeds \| video \| (.*) \|$", text)
    assert all(re.fullmatch(r"\d\.\d{3} ± \d\.\d{3}", cell) for cell in row.split(" | "))
    assert "| probe of tf_efficientnet_lite0 | video |" in text
    pairs = text[text.index("## DeLong") : text.index("## Parts")].count("probe of")
    assert pairs >= 4  # each seed, on each set
    assert "## Across data sets" in text
    with (report / "results.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["measure"] == "auroc" and not r["part"]]
    counts = {r["dataset"].split(",")[0]: (r["real"], r["fake"]) for r in rows if r["rule"]}
    assert counts["Celeb-DF-v2"] == ("6", "6")  # the test list of the made set
    assert r"\toprule" in (report / "tables" / "auroc.tex").read_text(encoding="utf-8")

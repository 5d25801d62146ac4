"""What a person sees who mistypes, or runs a command in the wrong place."""

import subprocess
import sys
from pathlib import Path

import pytest

from deepfake import predict
from deepfake.__main__ import VERBS, dispatch
from deepfake.cli.console import seconds
from deepfake.cli.inputs import find_clips
from deepfake.errors import DeepfakeError

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("verb", ["preprocess", "train", "predict", "data"])
def test_a_missing_package_is_one_line(verb: str) -> None:
    arguments = ["check", "."] if verb == "data" else ["clip.mp4"] * (verb != "train")
    bare = [sys.executable, "-S", "-m", "deepfake", verb, *arguments]  # without site-packages
    done = subprocess.run(bare, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "has no module" in line
    assert ".venv" in line


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["predict", "a.mp4", "--reprot", "x"], "; did you mean --report?"),
        (["predict", "a.mp4", "--backend", "onx"], "; did you mean onnx?"),
        (["preprocess", "a", "--worker_s", "3"], "; did you mean --workers?"),
        (["data", "chek"], "; did you mean check? `python"),
        (["data"], "required: {check,verify,"),
        (["pedict", "a.mp4"], "; did you mean predict?"),
        (["predict", "a.mp4", "--xyzzy"], "unrecognized arguments: --xyzzy. `"),
    ],
)
def test_a_typing_error_is_one_line_with_what_was_meant(
    arguments: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = dispatch(arguments)
    except SystemExit as end:
        status = int(str(end.code))
    assert status == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert meant in line


@pytest.mark.parametrize(
    ("text", "value"),
    [("83.5", 83.5), ("1:23.5", 83.5), ("0:01", 1.0), ("0:02.1 s", 2.1), ("1:00:02", 3602.0)],
)
def test_times_are_read_as_they_are_printed(text: str, value: float) -> None:
    assert seconds(text) == value
    assert predict.parser().parse_args(["a", "--start", text]).start == value


@pytest.mark.parametrize("text", ["soon", "1:60", "1:2:3:4", "-1", "nan", "inf", "", "1:"])
def test_what_is_no_time_is_told(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        predict.parser().parse_args(["a", f"--start={text}"])
    assert "is no time; write 83.5 or 1:23.5" in capsys.readouterr().err


def test_an_end_before_the_start_is_named() -> None:
    with pytest.raises(DeepfakeError, match="the end, 3 s, is not after the start, 62 s"):
        predict.main(["a.mp4", "--start", "1:02", "--end", "3"])


@pytest.mark.parametrize("address", ["https://example.org/v?x=1", "www.example.org/a.mp4"])
def test_an_address_is_to_be_downloaded_first(address: str) -> None:
    with pytest.raises(DeepfakeError, match="yt-dlp") as told:
        find_clips([address])
    assert "\n" not in str(told.value)


def test_data_is_a_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert "data" in VERBS
    assert dispatch(["data", "sources"]) == 0
    assert "FaceForensics++" in capsys.readouterr().out


def test_errors_to_catch_are_in_the_package() -> None:
    import deepfake
    from deepfake import errors

    kinds = [name for name in errors.__all__ if isinstance(getattr(errors, name), type)]
    assert "DeepfakeError" in kinds
    for name in kinds:
        assert getattr(deepfake, name) is getattr(errors, name)
        assert name in deepfake.__all__

import subprocess
import sys

import pytest

from deepfake.__main__ import VERBS, dispatch


def test_verbs_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch([]) == 0
    printed = capsys.readouterr().out
    assert all(verb in printed for verb in VERBS)


def test_a_verb_is_run_with_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        dispatch(["export", "--help"])
    assert ended.value.code == 0
    assert "--half" in capsys.readouterr().out


def test_an_unknown_verb_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["detect"]) == 2
    assert "there is no verb 'detect'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["deepfake"], ["deepfake.export", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    heavy = ("torch", "onnxruntime", "gradio", "numpy", "cv2")
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert not loaded.intersection(heavy)

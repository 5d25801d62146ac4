"""Every third file of the comparison with ffmpeg; docs/reliability.md has all."""

import shutil
from pathlib import Path

import pytest

from tests.reliability.reading import Case, cases, check

SOME = [case for number, case in enumerate(cases()) if number % 3 == 0]


@pytest.mark.parametrize("case", SOME, ids=lambda case: case.name)
def test_frames_times_and_pixels_are_right(case: Case, tmp_path: Path) -> None:
    result = check(case, tmp_path)
    if result is None:
        pytest.skip(f"this FFmpeg does not write {case.codec} into {case.container}")
    assert result.wrong == ()
    assert result.right + result.damaged or case.treatment == "cut into"


def test_pixels_were_compared_with_ffmpeg() -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed: numbers and times were compared, pixels were not")

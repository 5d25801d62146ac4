"""Which files a person means: files, folders and patterns."""

import glob
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from deepfake.errors import DeepfakeError
from preprocessing.video.files import SUFFIXES, sorted_out

logger = logging.getLogger(__name__)


def find_clips(given: Sequence[str]) -> list[Path]:
    """Return the files that arguments name, in their order, each once.

    A file counts whatever its name, since its content decides; of a folder, the videos and
    photographs in it and below, sorted by name. What is left out of it is counted in one line.

    Raises:
        DeepfakeError: Nothing was found at all, or one is an address on the web.
    """
    clips: list[Path] = []
    for text in given:
        path = Path(text)
        if re.match(r"[a-z][a-z0-9+.-]+://|www\.", text, re.IGNORECASE) and not path.exists():
            raise DeepfakeError(
                f"{text} is an address: download the clip first, for instance by `yt-dlp {text}`, "
                "and judge the file. Look for the original: re-uploads are compressed again, which "
                "makes verdicts less sure."
            )
        if path.is_dir():
            found, left_out = sorted_out(path)
            clips += sorted(file for file, _ in found)
            if left_out:
                logger.warning(left_out)
        elif not path.exists() and glob.has_magic(text):
            clips += sorted(Path(match) for match in glob.glob(text, recursive=True))  # noqa: PTH207
        else:
            clips.append(path)  # a missing file is reported like a broken one
    if not clips:
        raise DeepfakeError(
            f"No video or photograph found in {', '.join(given)}. "
            f"Looked for files ending in {', '.join(sorted(SUFFIXES))}."
        )
    return list(dict.fromkeys(clips))

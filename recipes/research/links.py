"""Files of crops under another folder, without a copy where the disk allows it."""

import os
import shutil
from pathlib import Path


def link(source: Path, target: Path) -> None:
    """Let a file be at another place, too.

    A hard link, since crops behind symbolic links that leave their folder are not read; a copy
    where the disk has none.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)

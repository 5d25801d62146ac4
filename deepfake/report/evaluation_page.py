"""One HTML page with all tables and figures of an evaluation, and no outside request."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deepfake.report.evaluation_tables import Table
from deepfake.report.page import environment


@dataclass(frozen=True)
class Picture:
    """A figure's SVG file with the words that stand for it."""

    path: Path
    words: str

    @property
    def data(self) -> str:
        """Return the picture as a data URI."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.path.read_bytes()).decode()


def evaluation_page(
    tables: Sequence[Table], pictures: Sequence[Picture], notes: Sequence[str]
) -> str:
    """Return the page; every text is escaped."""
    template = environment().get_template("evaluation.html")
    return template.render(tables=tables, pictures=pictures, notes=notes)

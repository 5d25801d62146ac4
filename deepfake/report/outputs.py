"""What predict writes beside its words: JSON, a table, pages, and clips with boxes in them."""

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deepfake.errors import DeepfakeError
from deepfake.types import Verdict

if TYPE_CHECKING:
    from deepfake.inference import VideoPredictor
    from preprocessing.pipeline import Extraction

COLUMNS = ("video", "label", "score", "threshold", "people", "faces", "reason")
FAILED = "error"  # the label of a clip that could not be read


@dataclass(frozen=True)
class Outputs:
    """What to write and where; None leaves it out.

    Args:
        json: File for the whole verdicts; "-" for standard output.
        table: File for one row per clip, .csv or .parquet.
        report: Folder for a page per clip.
        annotate: Folder for the clips with boxes.
    """

    json: str | None = None
    table: Path | None = None
    report: Path | None = None
    annotate: Path | None = None

    def prepare(self) -> None:
        """Make the folders and see that everything can be written, before any work.

        Raises:
            DeepfakeError: Something cannot.
        """
        if self.table is not None and self.table.suffix.lower() not in (".csv", ".parquet"):
            raise DeepfakeError(f"--table {self.table}: the name must end in .csv or .parquet")
        for option, folder in (("--report", self.report), ("--annotate", self.annotate)):
            if folder is not None:
                _make_folder(option, folder)
        for option, file in (("--json", self.json), ("--table", self.table)):
            if file is not None and file != "-":
                _try_file(option, Path(file))

    def add(
        self, verdict: Verdict, extraction: "Extraction", predictor: "VideoPredictor"
    ) -> list[Path]:
        """Write what belongs to one clip; return the files.

        Raises:
            DeepfakeError: A file cannot be written.
        """
        written: list[Path] = []
        try:
            if self.report is not None:
                from deepfake.report.verdict_page import write_page

                written.append(write_page(self.report, verdict, extraction, predictor))
            if self.annotate is not None:
                from deepfake.report.annotate import annotate

                written.append(annotate(self.annotate, verdict, extraction, predictor))
        except OSError as error:
            raise DeepfakeError(f"{error.filename}: {error.strerror}") from error
        return written

    def finish(self, verdicts: Sequence[Verdict], errors: Sequence[tuple[Path, str]]) -> None:
        """Write what belongs to all clips together.

        Raises:
            DeepfakeError: A file cannot be written.
        """
        if self.json is not None:
            _write_json(self.json, verdicts)
        if self.table is not None:
            _write_table(self.table, verdicts, errors)


def _make_folder(option: str, folder: Path) -> None:
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise DeepfakeError(
            f"{option} {folder}: {error.strerror}. Give a folder that can be written."
        ) from error


def _try_file(option: str, file: Path) -> None:
    there = file.exists()
    try:
        with file.open("ab"):
            pass
        if not there:
            file.unlink()
    except OSError as error:
        raise DeepfakeError(f"{option} {file}: {error.strerror}") from error


def _write_json(target: str, verdicts: Sequence[Verdict]) -> None:
    """Write one verdict as an object, several as a list."""
    plain = [verdict.to_dict() for verdict in verdicts]
    content = plain[0] if len(plain) == 1 else plain
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    try:
        Path(target).write_text(text, encoding="utf-8")
    except OSError as error:
        raise DeepfakeError(f"--json {target}: {error.strerror}") from error


def _write_table(
    file: Path, verdicts: Sequence[Verdict], errors: Sequence[tuple[Path, str]]
) -> None:
    rows: list[tuple[str | float | int | None, ...]] = [
        (_text(v.video), v.label, v.score, v.threshold, len(v.tracks), len(v.faces), v.reason)
        for v in verdicts
    ]
    rows += [(_text(str(path)), FAILED, None, None, 0, 0, _text(why)) for path, why in errors]
    try:
        if file.suffix.lower() == ".csv":
            with file.open("w", encoding="utf-8", newline="") as stream:
                writer = csv.writer(stream, lineterminator="\n")
                writer.writerow(COLUMNS)
                writer.writerows(rows)
        else:
            _write_parquet(file, rows)
    except OSError as error:
        raise DeepfakeError(f"--table {file}: {error.strerror or error}") from error


def _write_parquet(file: Path, rows: Sequence[tuple[str | float | int | None, ...]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, number, count = pa.string(), pa.float64(), pa.int64()
    types = (text, text, number, number, count, count, text)
    columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, names=list(COLUMNS)), file)


def _text(name: str) -> str:
    """Return a file name as text that any encoding of Unicode can hold."""
    return name.encode("utf-8", "backslashreplace").decode()

"""Lists and tables as people have them: UTF-8, UTF-16 or Latin-1, comma, semicolon or tab."""

import codecs
import csv
import io
import json
from pathlib import Path
from typing import TypeVar

from deepfake.errors import SourceError

T = TypeVar("T")


def read_text(path: Path) -> str:
    """Return the text of a file in whatever encoding it has.

    Raises:
        SourceError: It cannot be read, or is no text.
    """
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise SourceError(f"Cannot read {path}: {error}. Check the path.") from error
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if wide else ("utf-8-sig", "cp1252", "latin-1"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise SourceError(f"{path} is no text that can be read. Save it as UTF-8.")


def read_csv(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the names of the columns, and each row that is not empty with its line's number.

    Raises:
        SourceError: It is no table.
    """
    text = read_text(path)
    head = text.partition("\n")[0]
    comma = max(",;\t", key=head.count)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=comma)
        header = [column.strip().lower() for column in next(reader, [])]
        return header, [(reader.line_num, values) for values in reader if any(values)]
    except csv.Error as error:
        raise SourceError(f"{path} is not a CSV: {error}. Save it as one.") from error


def read_json(path: Path, kind: type[T]) -> T:
    """Return what a JSON file holds.

    Raises:
        SourceError: The file is damaged, or holds something of another kind.
    """
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"Cannot read {path}: {error}. Download it again.") from error
    if not isinstance(content, kind):
        raise SourceError(
            f"{path} must hold a JSON {kind.__name__}, but it holds a {type(content).__name__}. "
            "Download it again."
        )
    return content

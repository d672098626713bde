"""The labels of images: folders, or a table in a file, CSV or JSON lines, one row for each image.

A CSV begins with a line of column names; its first column holds the files' paths. A line of JSON is
an object with `file` and either `label` or columns of its own. The labels are then

- one class for each image: one column of names or of whole numbers;
- several labels for each image: one column of names divided by ";", or lists of names in JSON;
- numbers: several columns, or one whose numbers are not all whole. They are taken as they are.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparring.data.paths import printable
from sparring.errors import DataError

NAMES = ("labels.csv", "labels.jsonl")  # found beside the images, in this order
Labels = tuple[np.ndarray, tuple[str, ...]]
_WHOLE = r"-?(0|[1-9]\d*)(\.0*)?|True|False"  # as spreadsheets and JSON write whole numbers


@dataclass(frozen=True)
class Table:
    """Rows (line, file, cells), a cell for each of `columns`; where: the file it comes from.

    first: what stands over the column of files.
    """

    where: str
    columns: tuple[str, ...]
    rows: tuple[tuple[int, str, tuple[Any, ...]], ...]
    first: str = ""


def read(content: bytes, where: str) -> Table:
    """The table in a file that ends in .jsonl, .json or anything else, which is CSV.

    Raises DataError.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise DataError("the labels are no text", where=where, why=str(e)) from None
    lines = where.lower().endswith((".jsonl", ".json"))
    table = _json(text, where) if lines else _csv(text, where)
    if not table.rows or not table.columns:
        what = "no rows" if table.columns else "no column of labels"
        raise DataError(
            f"the labels have {what}", where=where, fix="write file,label and then a.png,cat"
        )
    for i, column in enumerate(table.columns):
        if not column or column in table.columns[:i]:
            what = f"two columns are called '{column}'" if column else f"column {i + 2} has no name"
            raise DataError(what, where=where, fix="give each a name of its own")
    return table


def missing(path: str, where: str) -> DataError:
    """What to say where a labels file that was asked for is not there."""
    return DataError(
        f"no labels file '{path}'", where=where, fix=f"ls {shlex.quote(where)}, or leave it out"
    )


def _csv(text: str, where: str) -> Table:
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text), delimiter="\t" if "\t" in first else ",")
    rows, head = [], next(reader, [])
    try:
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(head):
                raise DataError(
                    f"line {reader.line_num} has {len(cells)} cells, the first has {len(head)}",
                    where=where,
                )
            rows.append((reader.line_num, cells[0].strip(), tuple(c.strip() for c in cells[1:])))
    except csv.Error as e:
        raise DataError(f"line {reader.line_num} is no CSV", where=where, why=str(e)) from None
    first, *columns = (c.strip() for c in head or [""])
    return Table(where, tuple(columns), tuple(rows), first)


def _json(text: str, where: str) -> Table:
    rows: list[tuple[int, str, tuple[Any, ...]]] = []
    columns: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            name = str(row.pop("file"))
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
            fix = 'write one object a line, such as {"file": "a.png", "label": "cat"}'
            raise DataError(f"line {number} names no file", where=where, fix=fix) from None
        if set(row) == {"label"} and isinstance(row["label"], dict):
            row = row["label"]
        columns = columns or tuple(row)
        if set(row) != set(columns):
            raise DataError(
                f"line {number} has the columns {', '.join(row) or 'none'}",
                where=where,
                why=f"the first has {', '.join(columns)}",
            )
        rows.append((number, name, tuple(row[c] for c in columns)))
    return Table(where, columns, tuple(rows))


# ------------------------------------------------------------------------------- table -> labels


def assign(table: Table, names: Sequence[str], prefix: str = "") -> Labels:
    """The labels of the files `names`, in their order: int64 (N,) or float32 (N, K); and K names.

    Paths in the table are relative to `prefix`. Raises DataError for rows that name no file, files
    named twice, images without a row, and cells that make no label.
    """
    place = {name.removeprefix(prefix): i for i, name in enumerate(names)}
    known: dict[str, tuple[int, tuple[Any, ...]]] = {}
    strangers = []
    for line, file, cells in table.rows:
        file = file.replace("\\", "/").removeprefix("./")
        if file in known:
            raise DataError(
                f"line {line} names '{printable(file)}' again",
                where=table.where,
                why=f"line {known[file][0]} has it already",
                fix="keep one row for each image",
            )
        known[file] = line, cells
        if file not in place:
            strangers.append((line, file))
    if strangers:
        line, file = strangers[0]
        count = f"{len(strangers)} rows name no image" if strangers[1:] else "a row names no image"
        raise DataError(
            count,
            where=table.where,
            why=f"line {line} has '{printable(file)}'",
            fix="take these rows out, or put the images beside the labels",
        )
    # An archive may hold a name twice: both are images, and both have the label.
    own = [name.removeprefix(prefix) for name in names]
    bare = [name for name in own if name not in known]
    if table.first in bare:
        raise DataError(
            "the labels have no line of column names",
            where=table.where,
            why=f"the first line names the image '{printable(table.first)}'",
            fix="begin with a line such as file,label",
        )
    if bare:
        raise DataError(
            f"{len(bare)} of {len(names)} images have no label",
            where=table.where,
            why=f"such as '{printable(bare[0])}'",
            fix="add a row for each of them, or move them elsewhere",
        )
    return _values([known[name] for name in own], table)


def _values(rows: Sequence[tuple[int, tuple[Any, ...]]], table: Table) -> Labels:
    for line, cells in rows:
        for cell, column in zip(cells, table.columns):
            if cell is None or cell == "" or isinstance(cell, dict):
                raise DataError(f"line {line} has no '{column}'", where=table.where)
    if len(table.columns) == 1:
        cells = [cells[0] for _, cells in rows]
        if any(isinstance(c, list) or (isinstance(c, str) and ";" in c) for c in cells):
            return _several(cells)
        numbers = [_number(c) for c in cells]
        if any(n is None for n in numbers):
            return _classes([str(c) for c in cells], sorted({str(c) for c in cells}))
        if all(n.is_integer() for n in numbers if n is not None):
            if not all(re.fullmatch(_WHOLE, str(c)) for c in cells):  # '01' is not '1'
                return _classes([str(c) for c in cells], sorted({str(c) for c in cells}))
            whole = [int(n) for n in numbers if n is not None]
            return _classes(whole, sorted(set(whole)))
    return _numbers(rows, table)


def _classes(cells: Sequence[Any], names: Sequence[Any]) -> Labels:
    index = {name: i for i, name in enumerate(names)}
    return np.array([index[c] for c in cells], np.int64), tuple(printable(str(n)) for n in names)


def _several(cells: Sequence[Any]) -> Labels:
    """0 and 1 for each name that occurs."""
    given = [
        {str(c).strip() for c in (cell if isinstance(cell, list) else str(cell).split(";"))} - {""}
        for cell in cells
    ]
    names = sorted(set().union(*given))
    found = np.array([[name in labels for name in names] for labels in given], np.float32)
    return found, tuple(map(printable, names))


def _numbers(rows: Sequence[tuple[int, tuple[Any, ...]]], table: Table) -> Labels:
    values = np.empty((len(rows), len(table.columns)), np.float32)
    for i, (line, cells) in enumerate(rows):
        for k, cell in enumerate(cells):
            number = _number(cell)
            if number is None or not math.isfinite(number):
                raise DataError(
                    f"line {line} has '{printable(str(cell))}' in the column '{table.columns[k]}'",
                    where=table.where,
                    why="columns hold one finite number for each image when there are several",
                    fix="write 0 or 1 for yes and no, or keep one column of class names",
                )
            values[i, k] = number
    return values, tuple(map(printable, table.columns))


def _number(cell: Any) -> float | None:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


# ------------------------------------------------------------------------------ folders -> labels


def classify(names: Sequence[str]) -> Labels | None:
    """The first-level folders of the files `names` as classes, or None where there are none.

    One folder around everything does not count, one class alone is none, and where images lie
    beside the folders these are no classes.
    """
    firsts = _firsts(names)
    folders = sorted(set(firsts))
    if len(folders) < 2 or "" in folders:
        return None
    index = {name: i for i, name in enumerate(folders)}
    found = np.array([index[name] for name in firsts], np.int64)
    return found, tuple(map(printable, folders))


def beside(names: Sequence[str]) -> str:
    """That images lie beside folders, which would be classes without them; nothing if none do."""
    firsts = _firsts(names)
    loose, folders = firsts.count(""), set(firsts) - {""}
    if not (loose and folders):
        return ""
    many = f"{loose} images lie" if loose > 1 else "an image lies"
    return f"{many} beside folders such as '{printable(min(folders))}'"


def _firsts(names: Sequence[str]) -> list[str]:
    """For each file the folder of the first level, "" for one that lies in none."""
    parts = [name.split("/") for name in names]
    if all(len(p) > 1 for p in parts) and len({p[0] for p in parts}) == 1:
        parts = [p[1:] for p in parts]
    return [p[0] if len(p) > 1 else "" for p in parts]

"""The clip lists (CSV) of the three layouts."""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cavs.adapt.data.clip_set import SPLITS
from cavs.adapt.data.palette import AVSS_CLASSES
from cavs.runtime.errors import DataRejected

AVSS_COLUMNS = ("vid", "uid", "s_min", "s_sec", "a_obj", "split", "label")
AVSS_FRAMES = {"v1s": 5, "v1m": 5, "v2": 10}
"""Frames of a clip by its `label`, which is also its folder."""


@dataclass(frozen=True, slots=True)
class AvssRow:
    """One line of metadata.csv. a_obj: sounding classes joined by `_`; label: `v1s`, `v1m` or `v2`."""

    vid: str
    uid: str
    s_min: str
    s_sec: str
    a_obj: str
    split: str
    label: str

    @property
    def sounding(self) -> tuple[str, ...]:
        """Classes that sound somewhere in the clip; `off-the-screen` and `background` are no classes."""
        return tuple(name for name in self.a_obj.split("_") if name not in ("off-the-screen", "background", ""))


def read_avss_rows(path: Path) -> list[AvssRow]:
    """All lines of a metadata.csv, in order."""
    header, lines = read_lines(path)
    lacking = [column for column in AVSS_COLUMNS if column not in header]
    if lacking:
        raise DataRejected(f"{path}: no column {', '.join(lacking)}; expected {','.join(AVSS_COLUMNS)}")
    places = [header.index(column) for column in AVSS_COLUMNS]
    rows = []
    for number, cells in lines:
        row = AvssRow(*(cells[place] for place in places))
        check_split(path, number, row.split)
        if row.label not in AVSS_FRAMES:
            raise DataRejected(f"{path}, line {number}: label {row.label!r}, expected {', '.join(AVSS_FRAMES)}; correct it")
        rows.append(row)
    return rows


def write_avss_rows(path: Path, rows: Iterable[AvssRow]) -> None:
    """Writes metadata.csv."""
    write_lines(path, AVSS_COLUMNS, ([getattr(row, column) for column in AVSS_COLUMNS] for row in rows))


def read_lines(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header, and (line number, cells) of every line that is not empty. All lines have as many cells as the header."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataRejected(f"{path}: {error.strerror}, expected the list of clips") from None
    except UnicodeDecodeError as error:
        raise DataRejected(f"{path}: not text ({error.reason} at byte {error.start}), expected the list of clips") from None
    numbered = [(number, cells) for number, cells in enumerate(csv.reader(text.splitlines()), start=1) if cells]
    if not numbered:
        raise DataRejected(f"{path}: empty, expected a header and one line per clip")
    header = [cell.strip() for cell in numbered[0][1]]
    for number, cells in numbered[1:]:
        if len(cells) != len(header):
            raise DataRejected(
                f"{path}, line {number}: {len(cells)} cells, expected {len(header)} as in the header; correct it"
            )
    return header, numbered[1:]


def write_lines(path: Path, header: Iterable[str], lines: Iterable[Iterable[str]]) -> None:
    """Writes a CSV file whole, through a second file that then takes its name."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)
    fresh.replace(path)


def check_split(path: Path, number: int, split: str) -> None:
    """Refuses a split that is none."""
    if split not in SPLITS:
        raise DataRejected(f"{path}, line {number}: split {split!r}, expected {', '.join(SPLITS)}; correct it")


def read_class_names(path: Path) -> tuple[str, ...]:
    """Class names by mask index from label2idx.json, whose values count from 1; the standard 71 if there is no such file."""
    if not path.exists():
        return AVSS_CLASSES
    try:
        numbers = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataRejected(f"{path}: not readable as JSON ({error}), expected class name -> number from 1") from None
    if not isinstance(numbers, dict) or sorted(map(str, numbers.values())) != sorted(map(str, range(1, len(numbers) + 1))):
        raise DataRejected(f"{path}: expected every class name with its own number, 1 to the number of classes; correct it")
    names = tuple(sorted(numbers, key=lambda name: int(numbers[name])))
    if not names or names[0] != "background":
        raise DataRejected(f"{path}: number 1 is {names[0] if names else 'missing'!r}, expected 'background'; correct it")
    return names


def write_class_names(path: Path, classes: tuple[str, ...]) -> None:
    """Writes label2idx.json and idx2label.json beside it."""
    _write_json(path, {name: index + 1 for index, name in enumerate(classes)})
    _write_json(path.with_name("idx2label.json"), {str(index + 1): name for index, name in enumerate(classes)})


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    fresh.replace(path)

"""The replicates of a study as one JSON file: the finished are kept, and reused while the parameters are equal."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hccfeat.errors import InputError
from hccfeat.files import canonical_json, write_text_atomically

Row = list[Any]


@dataclass
class Part:
    """Replicates of one kind.

    Attributes
    ----------
    name : str
        For instance ``tabular``.
    parameters : dict
        Everything that decides a replicate's numbers apart from the columns that identify it; JSON values only.
    columns : tuple of str
        Names of the columns, those that identify a replicate first.
    keys : int
        How many columns identify a replicate; it may have several rows.
    rows : list of list
        One list of JSON values per row; a number that does not exist is None.
    seconds : float
        Processor time spent on them, summed over runs.
    """

    name: str
    parameters: dict[str, Any]
    columns: tuple[str, ...]
    keys: int
    rows: list[Row] = field(default_factory=list)
    seconds: float = 0.0

    def done(self) -> set[tuple[Any, ...]]:
        """The leading values of every finished replicate."""
        return {tuple(row[: self.keys]) for row in self.rows}

    def select(self, **values: Any) -> list[dict[str, Any]]:
        """Rows whose columns have these values, as dicts, in the order of what identifies them."""
        rows = (dict(zip(self.columns, row, strict=True)) for row in self.ordered())
        return [row for row in rows if all(row[name] == value for name, value in values.items())]

    def ordered(self) -> list[Row]:
        """The rows in the order of what identifies them, which must be comparable."""
        return sorted(self.rows, key=lambda row: row[: self.keys])


class Record:
    """The parts of a study and the file that holds them.

    Parameters
    ----------
    path : Path
        ``<study>.json``; read if it exists.
    study : str
        Name of the study.

    Raises
    ------
    InputError
        If the file is there and is not the record of this study.
    """

    def __init__(self, path: Path, study: str) -> None:
        self.path, self.study = path, study
        self.parts: dict[str, Part] = {}
        if path.is_file():
            self._read()

    def part(self, name: str, parameters: dict[str, Any], columns: Sequence[str], keys: int) -> Part:
        """Give a part: as it was kept if its parameters and columns are equal, otherwise an empty one."""
        found = self.parts.get(name)
        same = found is not None and canonical_json(found.parameters) == canonical_json(parameters)
        if found is None or not same or found.columns != tuple(columns):
            found = Part(name, parameters, tuple(columns), keys)
            self.parts[name] = found
        found.keys = keys
        return found

    def add(self, part: Part, rows: Iterable[Row], seconds: float, *, save: bool = True) -> None:
        """Add the rows of a finished replicate and, unless told otherwise, publish the file."""
        part.rows += [list(row) for row in rows]
        part.seconds += seconds
        if save:
            self.save()

    def save(self) -> None:
        """Publish the file, one row per line."""
        parts = ",\n".join(_part_text(part) for part in self.parts.values())
        head = f'{{\n"simulated": true,\n"study": {json.dumps(self.study)},\n"parts": {{\n'
        write_text_atomically(self.path, f"{head}{parts}\n}}\n}}\n")

    def _read(self) -> None:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if content["study"] != self.study:
                raise KeyError(content["study"])
            for name, part in content["parts"].items():
                columns, keys = tuple(part["columns"]), int(part["keys"])
                self.parts[name] = Part(name, part["parameters"], columns, keys, part["rows"], part["seconds"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                str(self.path),
                f"is not the record of an evidence study {self.study}",
                "Choose another folder with --out, or delete the file.",
            ) from error


def _part_text(part: Part) -> str:
    rows = ",\n".join(canonical_json(row) for row in part.ordered())
    fields = {
        "parameters": canonical_json(part.parameters),
        "seconds": json.dumps(round(part.seconds, 1)),
        "keys": json.dumps(part.keys),
        "columns": canonical_json(list(part.columns)),
    }
    lines = ",\n".join(f'"{name}": {text}' for name, text in fields.items())
    return f'{json.dumps(part.name)}: {{\n{lines},\n"rows": [\n{rows}\n]}}'

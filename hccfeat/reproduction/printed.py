"""Values that a paper prints, for the columns beside ours; they are facts with their source, never targets."""

import tomllib
from functools import cache
from typing import Any

from hccfeat.resources import resource_folder


@cache
def _values(paper: str) -> dict[str, Any]:
    path = resource_folder("data_catalog") / "printed" / f"{paper}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def printed(*keys: str, paper: str = "recurrence") -> Any:
    """Give a printed value, or None where the paper prints none.

    Parameters
    ----------
    *keys : str
        Path in ``data_catalog/printed/<paper>.toml``, for instance ``"table2", "cnn_sasm", "1/2"``.
    paper : str
        Name of the file.
    """
    value: Any = _values(paper)
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def difference(measured: float | None, value: float | None) -> float | None:
    """Ours minus the printed value; None where either is missing."""
    return None if measured is None or value is None else measured - value

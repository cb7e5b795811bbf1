"""What a comparator is, and its settings in words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from hccfeat.analysis.comparators.inputs import Training
from hccfeat.analysis.models import FittedModel

Settings = Mapping[str, float]


@dataclass(frozen=True)
class Comparator:
    """A model beside the prognostic network.

    Attributes
    ----------
    name, title : str
        Of the model in every table, and for the reader.
    fit : callable
        Training patients and settings to a fitted model; its description names method and inputs.
    survival : bool
        Whether it learns from times and events; otherwise from labels.
    grid : tuple of mapping
        Settings that tuning chooses from. The first are the fixed ones, used without tuning.
    """

    name: str
    title: str
    fit: Callable[[Training, Settings], FittedModel]
    survival: bool
    grid: tuple[Settings, ...] = ({},)


def grid(**values: Sequence[float]) -> tuple[dict[str, float], ...]:
    """All combinations; the first, of each name's first value, are the fixed settings."""
    return tuple(dict(zip(values, chosen, strict=True)) for chosen in product(*values.values()))


def listed(settings: Mapping[str, float]) -> str:
    """Settings in words."""
    return ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in settings.items())


def listed_grid(settings: Sequence[Mapping[str, float]]) -> str:
    """The values of each name that differ, in words."""
    values = {name: sorted({one[name] for one in settings}) for name in settings[0]}
    return ", ".join(
        f"{name.replace('_', ' ')} {' or '.join(f'{value:g}' for value in several)}"
        for name, several in values.items()
    )

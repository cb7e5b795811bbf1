"""How the clinical items of simulated MRI patients are made: the forms of ``simulation_mri.toml``."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from hccfeat.config import Frozen

Pair = tuple[float, float]


class _Loaded(Frozen):
    """A standard normal z with at most one loading, on S, K or the liver function F."""

    s: float = Field(0, gt=-1, lt=1)
    k: float = Field(0, gt=-1, lt=1)
    f: float = Field(0, gt=-1, lt=1)

    @model_validator(mode="after")
    def _one_loading(self) -> "_Loaded":
        if sum(loading != 0 for loading in (self.s, self.k, self.f)) > 1:
            message = "an item has one loading at most"
            raise ValueError(message)
        return self


class Measured(_Loaded):
    """A number: ``middle + spread z`` or ``middle exp(spread z)``, clipped and rounded."""

    form: Literal["normal", "log"]
    middle: float
    spread: float = Field(gt=0)
    range: Pair
    decimals: int = Field(ge=0)


class Graded(_Loaded):
    """Whole numbers from ``first`` on, in these shares by rising z; a flag is 0 or 1."""

    form: Literal["levels"]
    shares: tuple[float, ...]
    first: int = 0

    @property
    def cuts(self) -> np.ndarray:
        """Upper bounds of the levels but the last, as shares from below; float64."""
        return np.cumsum(self.shares)[:-1]


class Summed(Frozen):
    """The items named plus a log-normal rest."""

    form: Literal["sum"]
    of: tuple[str, ...]
    middle: float = Field(gt=0)
    spread: float = Field(ge=0)
    decimals: int = Field(ge=0)


class Diameter(Frozen):
    """The lesion's diameter with a log-normal measurement error, millimetres."""

    form: Literal["diameter"]
    spread: float = Field(ge=0)
    range: Pair
    decimals: int = Field(ge=0)


Item = Annotated[Measured | Graded | Summed | Diameter, Field(discriminator="form")]

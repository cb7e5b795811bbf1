"""Guidelines as data: ``data_catalog/guidelines/<name>.toml``."""

from typing import Literal, Self

from pydantic import Field, model_validator

from hccfeat.config import Frozen, StatementConfig, load_named

GUIDELINES = ("tripod-ai", "remark", "path")
"""Names of the shipped guidelines, in the order of the report."""


class Item(Frozen):
    """One item: what it asks in our own words, and what answers it.

    ``rules`` are names of functions in :mod:`hccfeat.report.guidelines.rules`, ``fields`` keys of the study file's
    section ``[statement]``.
    """

    number: str
    section: str
    topic: str
    asks: str
    rules: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _answerable(self) -> Self:
        unknown = [name for name in self.fields if name not in StatementConfig.model_fields]
        if unknown or not (self.rules or self.fields):
            message = f"item {self.number}: {f'unknown fields {unknown}' if unknown else 'no rule and no field'}"
            raise ValueError(message)
        return self


class GuidelineFile(Frozen):
    """A guideline; ``needs`` names an analysis without which it does not apply."""

    name: str
    title: str
    source: str
    note: str = ""
    needs: Literal["", "treatment"] = ""
    items: tuple[Item, ...] = Field(alias="item")


def load_guideline(name: str) -> GuidelineFile:
    """Read a shipped guideline.

    Parameters
    ----------
    name : str
        One of :data:`GUIDELINES`.

    Raises
    ------
    ConfigError
        If there is none of this name, or it is malformed.
    """
    return load_named("guideline", "guidelines", name, GuidelineFile, None)

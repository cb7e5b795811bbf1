"""How much of paper 2's study is run."""

from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, field_validator

from hccfeat.config import Frozen, load_named
from hccfeat.training.mri_methods import METHODS, Method

ClinicalModel = Literal["clinical_logistic", "clinical_xgboost"]
CLINICAL_MODELS: tuple[ClinicalModel, ...] = get_args(ClinicalModel)
CONTROLS = ("image-teacher", "permuted-teacher")
"""Of ``hccfeat evidence distillation``; no row of the paper."""
STUDY_METHODS = tuple(name for name in METHODS if name not in CONTROLS)


class MviPreset(Frozen):
    """A preset of ``hccfeat reproduce mvi``."""

    name: str
    title: str
    reduced: bool = Field(description="whether the report says everywhere that this is not the whole study")
    statement: str = Field("", description="how it is reduced, as a sentence of the report")
    recipe: str = Field(description="MRI recipe of every network")
    folds: int = Field(5, ge=2, le=20, description="of the cross-validation by patient, stratified by grade")
    seed: int = Field(2023, description="of the folds, the bootstrap and xgboost")
    methods: tuple[str, ...] = Field(STUDY_METHODS, min_length=1, description="networks, by name")
    clinical: tuple[ClinicalModel, ...] = Field(CLINICAL_MODELS, description="models of the items alone")
    bootstraps: int = Field(2000, ge=100, description="resamples of patients within fold and grade")

    @field_validator("methods")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in value if name not in METHODS]
        if unknown or len(set(value)) < len(value):
            message = f"must name different methods of {', '.join(METHODS)}"
            raise ValueError(message)
        return value

    @property
    def networks(self) -> list[Method]:
        """The methods themselves, in order."""
        return [METHODS[name] for name in self.methods]


def load_mvi_preset(name: str, study: Path | None = None) -> MviPreset:
    """Read a preset by name, the study's own (``data_catalog/reproduction_mvi/``) before the shipped ones.

    Raises
    ------
    ConfigError
        If there is none of this name, or it is malformed.
    """
    return load_named("preset", "reproduction_mvi", name, MviPreset, study)

"""The study file (``hccfeat.toml``)."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from hccfeat.config.files import Frozen, parse_toml
from hccfeat.config.statement import StatementConfig
from hccfeat.errors import ConfigError

STUDY_FILE = "hccfeat.toml"
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class SplitConfig(Frozen):
    """The frozen patient-level split of the development cohort (P1 reading 19)."""

    test_fraction: float = Field(0.2, gt=0, lt=1)
    folds: int = Field(5, ge=2, le=20)
    seed: int = 2023


class AnalysisConfig(Frozen):
    """Settings of ``hccfeat analyze``."""

    bootstraps: int = Field(1000, ge=100)
    seed: int = 2023
    threshold: float = Field(0.5, gt=0, lt=1, description="risk at and above which a patient is called positive")
    missing: Literal["both", "complete", "multiple"] = Field(
        "both", description="clinical models of complete cases, of multiply imputed patients, or both"
    )
    imputations: int = Field(20, ge=2, le=200, description="completed copies of the patients")
    repeats: int = Field(5, ge=1, le=100, description="of the cross-validation of clinical models")
    folds_by: Literal["patient", "site"] = Field(
        "patient", description="what is held out and dealt to folds: patients, or whole sites"
    )
    ties: Literal["efron", "breslow"] = Field(
        "efron",
        description="how Cox regression takes events at one time; Firth's is always Breslow's",
        # Added later: left out at its default, so that earlier settings and their run ids stay what they were.
        exclude_if=lambda ties: ties == "efron",
    )
    subgroups: tuple[str, ...] = Field(
        (),
        description="clinical variables in whose levels the models are judged too; numbers are cut in two",
        exclude_if=lambda items: not items,
    )
    optimism: int = Field(200, ge=20, description="resamples that correct apparent figures for optimism")


class ReportConfig(Frozen):
    """What the report shows beyond the results."""

    patient_rows: bool = Field(
        False, description="also write data/predictions.csv: patient ids and risks, one row per patient and model"
    )


class StudyConfig(Frozen):
    """The study file."""

    name: str
    title: str = Field("", description="of the report: what is predicted, and in whom")
    development_cohort: str = "internal"
    recipe: str = Field("paper", description="name of a feature-set recipe of slides")
    mri_recipe: str = Field("mri-paper", description="name of a feature-set recipe of MRI exams")
    split: SplitConfig = SplitConfig()
    analysis: AnalysisConfig = AnalysisConfig()
    report: ReportConfig = ReportConfig()
    statement: StatementConfig = StatementConfig()

    @field_validator("name", "development_cohort")
    @classmethod
    def _slug(cls, value: str) -> str:
        if not NAME_PATTERN.fullmatch(value):
            message = "use lower-case letters, digits, - and _ (at most 63)"
            raise ValueError(message)
        return value


def load_study_config(study: Path) -> StudyConfig:
    """Read ``hccfeat.toml`` of a study folder.

    Raises
    ------
    ConfigError
        If there is none, or a key is unknown, missing or out of range.
    """
    path = study / STUDY_FILE
    if not path.is_file():
        raise ConfigError(str(study), f"is not a study (no {STUDY_FILE})", "Run `hccfeat init` there first.")
    return parse_toml(path, StudyConfig)

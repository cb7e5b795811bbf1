"""The study file and the feature-set recipes as typed, immutable models."""

from hccfeat.config.files import Frozen, load_named, parse_toml, problems_of
from hccfeat.config.imported_recipe import ExchangeFormat, ImportedRecipe
from hccfeat.config.mri_recipe import (
    GRADES,
    PHASES,
    CmdNetRecipe,
    MriRecipe,
    MriTrainingRecipe,
    Phase,
    VolumeRecipe,
    load_mri_recipe,
)
from hccfeat.config.recipe import (
    AugmentationRecipe,
    EncoderRecipe,
    PatchRecipe,
    PrognosticRecipe,
    QualityRecipe,
    Recipe,
    StainRecipe,
    SubsetName,
    TissueRecipe,
    TrainingRecipe,
    load_recipe,
)
from hccfeat.config.statement import StatementConfig
from hccfeat.config.study_file import (
    NAME_PATTERN,
    STUDY_FILE,
    AnalysisConfig,
    ReportConfig,
    SplitConfig,
    StudyConfig,
    load_study_config,
)

__all__ = [
    "GRADES",
    "NAME_PATTERN",
    "PHASES",
    "STUDY_FILE",
    "AnalysisConfig",
    "AugmentationRecipe",
    "CmdNetRecipe",
    "EncoderRecipe",
    "ExchangeFormat",
    "Frozen",
    "ImportedRecipe",
    "MriRecipe",
    "MriTrainingRecipe",
    "PatchRecipe",
    "Phase",
    "PrognosticRecipe",
    "QualityRecipe",
    "Recipe",
    "ReportConfig",
    "SplitConfig",
    "StainRecipe",
    "StatementConfig",
    "StudyConfig",
    "SubsetName",
    "TissueRecipe",
    "TrainingRecipe",
    "VolumeRecipe",
    "load_mri_recipe",
    "load_named",
    "load_recipe",
    "load_study_config",
    "parse_toml",
    "problems_of",
]

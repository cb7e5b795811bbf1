"""What every item of a reproduction may ask for; loaded or computed once."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import polars as pl

from hccfeat.analysis.data import EndpointData
from hccfeat.analysis.everyone import risks_of_everyone
from hccfeat.analysis.load import Scope, load_endpoint
from hccfeat.analysis.recurrence import analyse
from hccfeat.analysis.results import EndpointResult
from hccfeat.cohort.described import recorded_variables
from hccfeat.cohort.descriptions import Variable
from hccfeat.config import Recipe, StudyConfig
from hccfeat.extraction.cells import Cells
from hccfeat.extraction.identity import FeatureSet
from hccfeat.reproduction.presets import Preset

HORIZONS = ("1y", "2y", "final")


@dataclass
class Context:
    """The study, the preset and what has been computed so far.

    Attributes
    ----------
    study : Path
        Study folder.
    config : StudyConfig
        Its study file.
    preset : Preset
        How much is run.
    recipe : Recipe
        Of the chosen model.
    feature_set : FeatureSet
        The chosen model's embeddings of every image, trained on the frozen split's training patients.
    cells : Cells
        Encoders of the subset study.
    external : str or None
        Cohort that judges from outside.
    simulated : bool
        Whether any cohort is simulated.
    """

    study: Path
    config: StudyConfig
    preset: Preset
    recipe: Recipe
    feature_set: FeatureSet
    cells: Cells
    external: str | None
    simulated: bool
    _data: dict[str, EndpointData] = field(default_factory=dict, repr=False)
    _results: dict[str, EndpointResult] = field(default_factory=dict, repr=False)
    _risks: dict[str, pl.DataFrame] = field(default_factory=dict, repr=False)

    @property
    def internal(self) -> str:
        """The development cohort."""
        return self.config.development_cohort

    @cached_property
    def variables(self) -> dict[str, Variable]:
        """Clinical variables as the development cohort records them."""
        return recorded_variables(self.study, self.internal)

    @cached_property
    def scope(self) -> Scope:
        """Cohorts and feature set, as ``analyze`` takes them."""
        return Scope(self.internal, (self.external,) if self.external else (), self.feature_set)

    def data(self, endpoint: str) -> EndpointData:
        """Input of the analysis of an endpoint on the frozen split."""
        if endpoint not in self._data:
            self._data[endpoint] = load_endpoint(self.study, self.config, endpoint, self.scope)
        return self._data[endpoint]

    def result(self, endpoint: str) -> EndpointResult:
        """Analysis of an endpoint on the frozen split, as ``hccfeat analyze`` makes it."""
        if endpoint not in self._results:
            self._results[endpoint] = analyse(self.data(endpoint), self.config.analysis, self.recipe.prognostic)
        return self._results[endpoint]

    def risks(self, endpoint: str) -> pl.DataFrame:
        """PPS risk of every patient with images, treated ones too; see ``risks_of_everyone``."""
        if endpoint not in self._risks:
            self._risks[endpoint] = risks_of_everyone(self.data(endpoint), self.result(endpoint))
        return self._risks[endpoint]

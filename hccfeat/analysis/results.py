"""What an analysis returns: plain dataclasses that the catalog, the CSV files and the report share."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from hccfeat.analysis.result_curves import (
    CalibrationCurve,
    CohortSurvival,
    DecisionCurve,
    GroupComparison,
    IncidenceCurve,
    RiskDistribution,
    RocCurve,
    SplitRole,
    SurvivalCurve,
)
from hccfeat.analysis.result_tests import (
    LogisticTerm,
    ModelComparison,
    ModelTest,
    ProportionalityTest,
    SubgroupMetric,
)

if TYPE_CHECKING:
    from hccfeat.analysis.treatment_report import TreatmentFindings

__all__ = [
    "CalibrationCurve",
    "CohortSurvival",
    "ConditionKind",
    "DecisionCurve",
    "EndpointResult",
    "GroupComparison",
    "HazardRatio",
    "IncidenceCurve",
    "LogisticTerm",
    "Metric",
    "ModalityComparison",
    "ModalityGap",
    "ModelComparison",
    "ModelTest",
    "Notice",
    "Prediction",
    "ProportionalityTest",
    "RiskDistribution",
    "RocCurve",
    "SplitRole",
    "StudyReport",
    "SubgroupMetric",
    "SurvivalCurve",
]

ConditionKind = Literal[
    "few_events",
    "group_without_events",
    "separation",
    "non_proportional",
    "collinear",
    "beyond_follow_up",
    "one_class",
    "missingness",
    "too_many_parameters",
    "few_expected",
]
"""What about the data kept a number back, replaced a method, or asks for caution."""


@dataclass(frozen=True)
class Metric:
    """One number of one model; a row of ``data/metrics.csv`` and of the catalog's table ``metric``.

    ``estimate``, ``lower`` and ``upper`` are None where the number cannot be had; ``method`` then says why.
    """

    endpoint: str
    cohort: str
    split: SplitRole
    model: str
    metric: str
    estimate: float | None
    lower: float | None
    upper: float | None
    n: int
    events: int
    method: str


@dataclass(frozen=True)
class HazardRatio:
    """One hazard ratio; a row of ``data/hazard_ratios.csv`` and of the catalog's table ``hazard_ratio``."""

    endpoint: str
    cohort: str
    kind: str
    term: str
    hr: float | None
    lower: float | None
    upper: float | None
    p: float | None
    n: int
    events: int
    ties: str


@dataclass(frozen=True)
class Prediction:
    """The risk of one patient by one model; a row of the catalog's table ``prediction``.

    ``risk`` ranks patients; ``probability`` is that of the label, or of the event by the endpoint's horizon, None
    where the model gives none.
    """

    endpoint: str
    cohort: str
    split: SplitRole
    model: str
    patient_id: str
    risk: float
    probability: float | None = None


@dataclass(frozen=True)
class Notice:
    """Something a reader must know: ``level`` colours it, ``kind`` names the condition that a guard found."""

    level: Literal["info", "caution", "stop"]
    title: str
    text: str
    kind: ConditionKind | None = None


@dataclass(frozen=True)
class ModalityGap:
    """AUROC of one model of :class:`ModalityComparison` minus another's, on the same patients.

    ``p`` is DeLong's paired test, ``p_holm`` adjusted for all gaps of the comparison; both None where there is no
    variance, and ``method`` says why.
    """

    model: str
    against: str
    estimate: float | None
    lower: float | None
    upper: float | None
    p: float | None
    p_holm: float | None
    n: int
    events: int
    method: str


@dataclass(frozen=True)
class ModalityComparison:
    """Models of each modality and of all together, judged on the patients who have every modality.

    Attributes
    ----------
    labels : dict
        Model -> what it reads, for the reader; each modality, then the union.
    trained, trained_events : int
        Patients the models were fitted on; over folds the fewest.
    left_out : int
        Labelled judges without some modality.
    metrics, gaps, predictions
        Numbers of the models on the same ``n`` judges.
    best : str
        The modality with the highest AUROC on these judges.
    note : str
        On whom the models were fitted and what they read; of the first fold where there are several.
    """

    cohort: str
    split: SplitRole
    labels: dict[str, str]
    trained: int
    trained_events: int
    n: int
    events: int
    left_out: int
    metrics: tuple[Metric, ...]
    gaps: tuple[ModalityGap, ...]
    predictions: tuple[Prediction, ...]
    best: str
    note: str
    differences: tuple[ModelComparison, ...] = ()


@dataclass
class EndpointResult:
    """Everything ``analyze`` found for one endpoint."""

    endpoint: str
    label: str
    horizon_months: float | None
    exclusion_rule: str
    metrics: list[Metric] = field(default_factory=list)
    hazard_ratios: list[HazardRatio] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    groups: list[GroupComparison] = field(default_factory=list)
    rocs: list[RocCurve] = field(default_factory=list)
    logistic: dict[str, list[LogisticTerm]] = field(default_factory=dict)
    attrition: list[dict[str, Any]] = field(default_factory=list)
    """Rows (cohort, split, patients, labelled, events, excluded, reason)."""
    notices: list[Notice] = field(default_factory=list)
    artefacts: dict[str, Any] = field(default_factory=dict)
    """Fitted models to keep (name -> PrognosticModel), for ``predict``; never shown."""
    timed: bool = True
    """False where the endpoint is a finding without a time, so that there is no survival analysis."""
    modalities: list[ModalityComparison] = field(default_factory=list)
    calibrations: list[CalibrationCurve] = field(default_factory=list)
    decisions: list[DecisionCurve] = field(default_factory=list)
    distributions: list[RiskDistribution] = field(default_factory=list)
    comparisons: list[ModelComparison] = field(default_factory=list)
    proportionality: list[ProportionalityTest] = field(default_factory=list)
    tests: list[ModelTest] = field(default_factory=list)
    survival: list[CohortSurvival] = field(default_factory=list)
    incidences: list[IncidenceCurve] = field(default_factory=list)
    treatment: "TreatmentFindings | None" = None
    subgroups: list[SubgroupMetric] = field(default_factory=list)

    @property
    def all_metrics(self) -> list[Metric]:
        """Metrics of every model, those of the modalities last."""
        return [*self.metrics, *(metric for found in self.modalities for metric in found.metrics)]

    @property
    def all_predictions(self) -> list[Prediction]:
        """Predictions of every model, those of the modalities last."""
        return [*self.predictions, *(row for found in self.modalities for row in found.predictions)]


@dataclass
class StudyReport:
    """Input of the report: study facts and one result per endpoint."""

    study: str
    title: str
    simulated: bool
    run_id: str
    created: str
    """Newest record time of the inputs (ISO 8601), not the clock: equal inputs give equal bytes."""
    settings: dict[str, Any]
    versions: dict[str, str]
    cohorts: list[dict[str, Any]]
    """Rows (cohort, title, format, simulated, patients, images, image_patients, note)."""
    attrition: list[dict[str, Any]]
    """Rows of the catalog's table ``attrition`` (cohort, step_number, step, n, excluded, reason)."""
    baseline: list[dict[str, Any]]
    """Rows (variable, level, one column per cohort or split), already formatted counts."""
    feature_set: dict[str, Any] | None
    """Facts of the feature set used (name, encoder, weights_sha256, recipe, patients_trained), or None."""
    endpoints: list[EndpointResult]
    example_patches: list[tuple[str, bytes]] = field(default_factory=list)
    """(caption, PNG or JPEG bytes) pictures to show; may be empty."""
    statement: dict[str, str] = field(default_factory=dict)
    """Free text of the study file by key (ethics, funding, ...); an absent or empty one is not reported."""
    labels: dict[str, str] = field(default_factory=dict)
    """Clinical variable -> printed name."""
    units: dict[str, str] = field(default_factory=dict)
    """Numeric clinical variable -> what one more of it is, as the analysed cohort records it."""
    patient_rows: bool = False
    """Write the patients' own risks too; left out unless the study file asks for them."""

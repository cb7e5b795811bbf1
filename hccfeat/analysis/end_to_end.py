"""The PPS risk against encoders trained end to end on raw labels, in both readings of P1 (Table 3, P1 reading 33).

``literal``: the encoder is trained on the label of the horizon, and a patient's risk is the mean over images of
the mean patch probability. ``raw_labels``, as the released code does it: the encoder is trained on the final
recurrence status of every patient, without denoising, and its image means go through the prognostic network as PPS.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from hccfeat.analysis.data import EndpointData, Population, Role, population
from hccfeat.analysis.guard import assert_unseen
from hccfeat.analysis.judging import estimates, risk_of
from hccfeat.analysis.models import PPS, FitRiskOfImages, check_classes, default_fit, fit_pps
from hccfeat.analysis.rating import Rating
from hccfeat.analysis.results import EndpointResult, SplitRole
from hccfeat.config import AnalysisConfig, PrognosticRecipe
from hccfeat.errors import AnalysisError
from hccfeat.stats.clustered import judged, paired_difference
from hccfeat.stats.delong import paired_delong
from hccfeat.stats.estimate import Estimate
from hccfeat.stats.threshold import Confusion, confusion
from hccfeat.training.risk import mean_by_patient

LITERAL = "literal"
RAW_LABELS = "raw_labels"
METRICS = ("auroc", "auprc", "accuracy", "precision", "recall", "f1")
"""In the order of Table 3."""
JUDGES: tuple[tuple[Role, SplitRole], ...] = (("held_out", "held_out"), ("external", "external"))


@dataclass(frozen=True)
class RiskModel:
    """Risks that one model gave to patients.

    Attributes
    ----------
    name : str
        ``pps_mlp``, ``literal`` or ``raw_labels``.
    risks : mapping
        Patient -> risk, of every patient with images.
    seen : frozenset of str
        Who trained the encoder, the network behind it, or selected.
    """

    name: str
    risks: Mapping[str, float]
    seen: frozenset[str]


@dataclass(frozen=True)
class Score:
    """What one model scored: estimates by the names of ``METRICS``, and counts at the threshold."""

    model: str
    estimates: dict[str, Estimate]
    confusion: Confusion


@dataclass(frozen=True)
class Gap:
    """AUROC of the PPS risk minus a comparator's on the same patients.

    ``difference`` resamples patients; ``p`` is DeLong's paired test, None where it has no variance.
    """

    model: str
    difference: Estimate
    p: float | None


@dataclass(frozen=True)
class Comparison:
    """Models of one horizon on the same labelled patients of one cohort and split; the PPS risk comes first.

    ``left_out`` counts labelled patients to whom some model gave no risk.
    """

    endpoint: str
    label: str
    cohort: str
    split: SplitRole
    n: int
    events: int
    left_out: int
    scores: tuple[Score, ...]
    gaps: tuple[Gap, ...]


def pps_model(data: EndpointData, result: EndpointResult) -> RiskModel:
    """The PPS risk of every judge, as ``analyze`` found it.

    Raises
    ------
    AnalysisError
        If nobody has one.
    """
    splits = {split for _, split in JUDGES}
    mine = [row for row in result.predictions if row.model == PPS and row.split in splits]
    if not mine:
        raise AnalysisError(f"endpoint {data.endpoint}", "has no PPS risks of judges", "Extract the images first.")
    return RiskModel(PPS, {row.patient_id: row.risk for row in mine}, frozenset(data.seen))


def literal_model(images: pl.DataFrame, seen: frozenset[str]) -> RiskModel:
    """Risk as the mean over images of the mean patch probability (P1 readings 33a, 36).

    Parameters
    ----------
    images : polars.DataFrame
        ``patient_id``, ``probability`` of each image, by an encoder trained on the horizon's label.
    seen : frozenset of str
        Patients who trained it.
    """
    risks = mean_by_patient(images["patient_id"].to_list(), images["probability"].to_numpy())
    return RiskModel(LITERAL, risks, seen)


def raw_label_model(
    data: EndpointData,
    images: pl.DataFrame,
    seen: frozenset[str],
    recipe: PrognosticRecipe,
    fit_images: FitRiskOfImages | None = None,
) -> RiskModel:
    """Risk by the prognostic network on image means of an encoder trained on raw labels (P1 reading 33b).

    The network is fitted as that of the PPS risk: on the untreated labelled training patients of the horizon.

    Parameters
    ----------
    data : EndpointData
        The horizon; its own image vectors are not used.
    images : polars.DataFrame
        ``image_id``, ``patient_id``, ``vector`` of each image.
    seen : frozenset of str
        Patients who trained the encoder.
    recipe : PrognosticRecipe
        Settings of the network.
    fit_images : callable, optional
        Replaces P1's network.

    Raises
    ------
    AnalysisError
        If the training patients are of one class.
    """
    other = replace(data, images=images.select("patient_id", "image_id", "vector"), seen=set(seen))
    cohort = other.cohorts("train")
    if not cohort:
        raise AnalysisError(f"endpoint {data.endpoint}", "has no training patients", "Extract the images first.")
    everyone = population(other, cohort[0], "train", "apparent")
    train = everyone.take(everyone.labelled)
    check_classes(train)
    model = fit_pps(train, recipe, fit_images or default_fit())
    risks: dict[str, float] = {}
    for patients in _judges(other):
        risks |= dict(zip(patients.ids, risk_of(model, patients).tolist(), strict=True))
    return RiskModel(RAW_LABELS, risks, seen | frozenset(train.ids))


def compare(data: EndpointData, models: Sequence[RiskModel], settings: AnalysisConfig) -> list[Comparison]:
    """Judge models of one horizon on the same patients.

    Untreated labelled held-out patients judge, and those of each external cohort, if every model gave them a risk.

    Parameters
    ----------
    data : EndpointData
        The horizon.
    models : sequence of RiskModel
        The PPS risk first.
    settings : AnalysisConfig
        Threshold, bootstraps, seed.

    Returns
    -------
    list of Comparison
        One per cohort and split that has judges.

    Raises
    ------
    LeakageError
        If a model has seen a judge.
    """
    found = []
    for patients in _judges(data):
        labelled = patients.take(patients.labelled)
        common = np.array([all(i in model.risks for model in models) for i in labelled.ids], dtype=bool)
        judges = labelled.take(common)
        for model in models:
            where = f"{patients.split.replace('_', '-')} patients of cohort {patients.cohort} ({model.name})"
            assert_unseen(judges.ids, model.seen, where)
        if len(judges):
            found.append(_compared(data, models, judges, len(labelled) - len(judges), settings))
    return found


def _judges(data: EndpointData) -> list[Population]:
    return [population(data, cohort, role, split) for role, split in JUDGES for cohort in data.cohorts(role)]


def _compared(
    data: EndpointData, models: Sequence[RiskModel], judges: Population, left_out: int, settings: AnalysisConfig
) -> Comparison:
    risks = [np.array([model.risks[patient] for patient in judges.ids]) for model in models]
    scores = []
    for model, risk in zip(models, risks, strict=True):
        rated = estimates(judges, Rating(risk, probability=risk), settings, horizon=data.horizon_months)
        counts = confusion(judges.y, risk, settings.threshold)
        scores.append(Score(model.name, {name: rated[name] for name in METRICS}, counts))
    views = [judged(judges.y, risk, judges.ids, "patients") for risk in risks]
    gaps = []
    for model, view in zip(models[1:], views[1:], strict=True):
        draw = {"resamples": settings.bootstraps, "seed": settings.seed}
        gap = paired_difference([views[0]], [view], "auroc", **draw)
        gaps.append(Gap(model.name, gap, paired_delong(judges.y, view.risk, views[0].risk).p))
    return Comparison(
        endpoint=data.endpoint,
        label=data.label,
        cohort=judges.cohort,
        split=judges.split,
        n=len(judges),
        events=int(judges.y.sum()),
        left_out=left_out,
        scores=tuple(scores),
        gaps=tuple(gaps),
    )

"""Risks of judges whose missing indicators are imputed with their outcomes, to test what a risk adds."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.added_value import linear_risk
from hccfeat.analysis.data import Population
from hccfeat.analysis.imputed import impute
from hccfeat.analysis.judged_risks import CompletedRisks
from hccfeat.analysis.models import CLINICAL, IMAGE_MODELS, INTEGRATED, FittedModel, usable_indicators
from hccfeat.analysis.results import EndpointResult
from hccfeat.config import AnalysisConfig

Floats = NDArray[np.float64]
Judges = tuple[Population, Sequence[FittedModel]]
"""Patients, and models that were fitted on others."""
JUDGES = "judges"
"""Artefact of a result: (cohort, split) -> the judges of each fold, one where there are no folds."""


def keep_judges(result: EndpointResult, parts: Sequence[Judges]) -> None:
    """Keep judges with an image model, from whom the comparison of models completes risks."""
    if parts and all(_image_model(models) for _, models in parts):
        patients = parts[0][0]
        result.artefacts.setdefault(JUDGES, {})[patients.cohort, patients.split] = list(parts)


def completed_risks(parts: Sequence[Judges], settings: AnalysisConfig) -> CompletedRisks | None:
    """Complete the indicators of judges several times, and let the models judge every copy.

    What is missing is drawn from a joint normal distribution of these judges' indicators, image risk and outcome:
    all that the test of added value holds must inform it, or the test is biased. For that test alone; figures of
    performance stay those of indicators completed without the outcome.

    Parameters
    ----------
    parts : sequence of (Population, sequence of FittedModel)
        Judges and their models; one entry per fold, or one in all.
    settings : AnalysisConfig
        What is done about missing indicators, imputations and seed.

    Returns
    -------
    CompletedRisks or None
        Risks by the clinical, the image and the integrated model. None where nobody lacks an indicator, the
        settings ask for complete cases only, or no clinical and image model judged everybody.

    Raises
    ------
    AnalysisError
        If there are hardly more judges than columns.
    """
    parts = [(p.take(known), models) for p, models in parts if (known := p.followed | p.labelled).any()]
    if not any(np.isnan(patients.indicators).any() for patients, _ in parts) or settings.missing == "complete":
        return None
    image = _image_model(parts[0][1])
    named = [{model.name: model for model in models} for _, models in parts]
    names = [name for name in (CLINICAL, image, INTEGRATED) if all(name in models for models in named)]
    if not {CLINICAL, image} <= set(names):
        return None
    together = _together([patients for patients, _ in parts])
    fold = np.repeat(np.arange(len(parts)), [len(patients) for patients, _ in parts])
    risk = np.concatenate(
        [models[image].predict(patients) for (patients, _), models in zip(parts, named, strict=True)]
    )
    rows = np.column_stack([together.indicators, linear_risk(risk, fold)])
    copies = _completed(together, rows, settings)
    found = {name: np.empty((len(copies), len(together))) for name in names}
    for number, ((patients, _), models) in enumerate(zip(parts, named, strict=True)):
        inside = fold == number
        for name in names:
            found[name][:, inside] = _judged(models[name], patients, copies[:, inside])
    return CompletedRisks(together.ids, found)


def _image_model(models: Sequence[FittedModel]) -> str:
    return next((model.name for model in models if model.name in IMAGE_MODELS.values()), "")


def _together(parts: Sequence[Population]) -> Population:
    """Judges of all folds as one population, without images."""
    first = parts[0]
    time, event, y, indicators = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("time", "event", "y", "indicators")
    )
    ids = [patient for part in parts for patient in part.ids]
    return Population(first.cohort, first.split, ids, time, event, y, indicators, first.indicator_names)


def _completed(patients: Population, rows: Floats, settings: AnalysisConfig) -> Floats:
    """Indicators (m, n, p) completed from rows of them and the image risk, the last column."""
    known = replace(patients, indicators=rows, indicator_names=[*patients.indicator_names, "image risk"])
    columns = usable_indicators(known)
    found = impute(known, columns, imputations=settings.imputations, seed=settings.seed).completed
    copies = np.repeat(rows[None], len(found), axis=0)
    copies[:, :, columns] = found
    return copies[:, :, :-1]


def _judged(model: FittedModel, patients: Population, copies: Floats) -> Floats:
    """Risk of each patient under each copy of the indicators (m, n)."""
    if not model.reads_indicators:
        return np.repeat(model.predict(patients)[None], len(copies), axis=0)
    return np.array([model.predict(replace(patients, indicators=copy)) for copy in copies])

"""The models that are compared: each is fitted on training patients and then only predicts.

Here are P1's models with xgboost and the colour control, which every analysis fits. Further comparators are listed
in :mod:`hccfeat.analysis.comparators`: one function each from training patients to a :class:`FittedModel`, which
then appears in every table beside the others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import xgboost
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from hccfeat.analysis.data import Modality, Population
from hccfeat.config import PrognosticRecipe
from hccfeat.errors import AnalysisError

PPS = "pps_mlp"
MRI = "mri_mlp"
IMAGE_MODELS: dict[Modality, str] = {"slide": PPS, "mri": MRI}
"""Name of the prognostic network by what it reads."""
VECTORS: dict[Modality, str] = {"slide": "PPS", "mri": "MRI embedding"}
CLINICAL = "clinical_logistic"
INTEGRATED = "integrated_logistic"
XGBOOST = "xgboost"
COLOUR = "mean_colour_logistic"
INNER_FOLDS = 5
XGBOOST_ROUNDS = 100
XGBOOST_SETTINGS = {"objective": "binary:logistic", "max_depth": 3, "eta": 0.1, "tree_method": "hist", "nthread": 1}


class RiskOfImages(Protocol):
    """A fitted prognostic network."""

    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Risk of each image (n,) from its PPS (n, d)."""
        ...


FitRiskOfImages = Callable[[NDArray[np.float32], NDArray[np.int64], PrognosticRecipe], RiskOfImages]


@dataclass(frozen=True)
class FittedModel:
    """A model that has been fitted on training patients.

    ``predict`` ranks patients: a finite risk each (n,), higher is worse. ``probability`` (n,) is that of the event
    by the horizon, the risk itself for a classifier; ``risk_by`` (n, h) that by each of some months (h,), up to the
    horizon or the last follow-up of the training patients. None where the model has none. ``keep`` is the network
    behind it, which ``hccfeat predict`` uses again.
    """

    name: str
    description: str
    predict: Callable[[Population], NDArray[np.float64]]
    reads_indicators: bool = False
    keep: RiskOfImages | None = None
    probability: Callable[[Population], NDArray[np.float64]] | None = None
    risk_by: Callable[[Population, NDArray[np.float64]], NDArray[np.float64]] | None = None

    def method_note(self, judged: Population) -> str:
        """What the model is, and how many of the judged patients have an indicator filled in."""
        incomplete = int(np.isnan(judged.indicators).any(axis=1).sum()) if self.reads_indicators else 0
        if not incomplete:
            return self.description
        return f"{self.description}; {incomplete} of {len(judged)} patients lack an indicator"


def classifier(
    name: str,
    description: str,
    predict: Callable[[Population], NDArray[np.float64]],
    *,
    reads_indicators: bool = False,
    keep: RiskOfImages | None = None,
) -> FittedModel:
    """A model whose risk is its probability of the label."""
    return FittedModel(name, description, predict, reads_indicators, keep, probability=predict)


def default_fit() -> FitRiskOfImages:
    """P1's prognostic network; imported late, because it brings torch."""
    from hccfeat.training.prognostic import fit_prognostic

    return fit_prognostic


def fit_models(
    train: Population, seed: int, prognostic: PrognosticRecipe, fit_images: FitRiskOfImages | None = None
) -> list[FittedModel]:
    """Fit every model for which the training patients have the inputs.

    Parameters
    ----------
    train : Population
        Untreated training patients, all with a label.
    seed : int
        Of the inner folds and of xgboost.
    prognostic : PrognosticRecipe
        Settings of the prognostic network.
    fit_images : callable, optional
        Fits a network on image-level PPS, the labels of the images' patients and the settings; P1's by default.

    Raises
    ------
    AnalysisError
        If the training patients have no image and no usable indicator, or fewer than two patients in a class.
    """
    check_classes(train)
    usable = usable_indicators(train)
    models = []
    if train.image_vectors is not None:
        fit_images = fit_images or default_fit()
        pps = fit_pps(train, prognostic, fit_images)
        models.append(pps)
        if usable:
            models.append(fit_clinical(train, usable))
            models.append(fit_integrated(train, usable, pps, seed, prognostic, fit_images))
        models.append(fit_xgboost(train, usable, seed))
        if train.colour is not None:
            models.append(fit_colour(train))
    elif usable:
        models += [fit_clinical(train, usable), fit_xgboost(train, usable, seed)]
    if not models:
        raise AnalysisError(
            f"cohort {train.cohort}", "has neither images nor indicators that vary", "Ingest clinical indicators."
        )
    return models


def check_classes(train: Population) -> None:
    """Refuse training patients from whom nothing can be learned.

    Raises
    ------
    AnalysisError
        If there are none, one class, or a single patient in a class.
    """
    events = int(np.nansum(train.y))
    rarer = min(events, len(train) - events)
    if rarer >= 2:
        return
    what = f"training patients of cohort {train.cohort}"
    if not len(train):
        raise AnalysisError(what, "none can be used", "See why in the attrition table, and extract the images.")
    if not events:
        raise AnalysisError(what, f"none of {len(train)} has an event", "Choose another endpoint.")
    if rarer == 0:
        raise AnalysisError(what, f"all {len(train)} have the event", "Choose another endpoint.")
    raise AnalysisError(what, "a class has a single patient", "Choose another endpoint or a larger cohort.")


def usable_indicators(train: Population) -> list[int]:
    """Columns with at least two different values among the training patients."""
    columns = range(train.indicators.shape[1])
    return [k for k in columns if len(np.unique(_known(train.indicators[:, k]))) > 1]


def fit_pps(train: Population, recipe: PrognosticRecipe, fit_images: FitRiskOfImages) -> FittedModel:
    """P1's second stage: the prognostic network on image-level PPS; a patient's risk is the mean over images."""
    model = _fit_on_images(train, recipe, fit_images)
    return classifier(
        IMAGE_MODELS[train.modality],
        f"prognostic network on image {VECTORS[train.modality]}, mean over images; fitted on {len(train)} patients",
        lambda patients: _patient_risk(model, patients),
        keep=model,
    )


def fit_clinical(train: Population, columns: list[int]) -> FittedModel:
    """Logistic regression on standardised indicators; medians of the training patients where one is missing."""
    pipeline = _logistic_pipeline().fit(train.indicators[:, columns], train.y)
    return classifier(
        CLINICAL,
        f"logistic regression (L2, C = 1) on {len(columns)} standardised indicators, training medians for missing "
        f"ones; fitted on {len(train)} patients",
        lambda patients: _positive(pipeline, patients.indicators[:, columns]),
        reads_indicators=True,
    )


def fit_integrated(
    train: Population,
    columns: list[int],
    pps: FittedModel,
    seed: int,
    recipe: PrognosticRecipe,
    fit_images: FitRiskOfImages,
) -> FittedModel:
    """Logistic regression on the PPS risk and the indicators (P1's integrated model).

    The PPS risks it is fitted on come from networks that did not see the patient (inner folds), because a
    network's risks of its own training patients are too good and would be trusted too much.
    """
    folds = min(INNER_FOLDS, int(train.y.sum()), int((1 - train.y).sum()))
    risk = np.zeros(len(train))
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for fitting, judged in splitter.split(risk, train.y):
        inside = np.zeros(len(train), dtype=bool)
        inside[fitting] = True
        model = _fit_on_images(train.take(inside), recipe, fit_images)
        risk[judged] = _patient_risk(model, train.take(~inside))
    pipeline = _logistic_pipeline().fit(np.column_stack([risk, train.indicators[:, columns]]), train.y)

    def predict(patients: Population) -> NDArray[np.float64]:
        return _positive(pipeline, np.column_stack([pps.predict(patients), patients.indicators[:, columns]]))

    return classifier(
        INTEGRATED,
        f"logistic regression (L2, C = 1) on the {VECTORS[train.modality]} risk ({folds} inner folds) and "
        f"{len(columns)} standardised indicators, training medians for missing ones; fitted on {len(train)} "
        "patients",
        predict,
        reads_indicators=True,
    )


def fit_xgboost(train: Population, columns: list[int], seed: int) -> FittedModel:
    """Boosted trees on the mean PPS of the patient and the indicators, one thread, seeded; missing as missing."""

    def matrix(patients: Population) -> NDArray[np.float64]:
        parts = [patients.indicators[:, columns]]
        if patients.image_vectors is not None:
            parts.insert(0, patients.patient_mean(patients.image_vectors))
        return np.column_stack(parts)

    fitted = xgboost.train(
        {**XGBOOST_SETTINGS, "seed": seed},
        xgboost.DMatrix(matrix(train), label=train.y, nthread=1),
        num_boost_round=XGBOOST_ROUNDS,
    )
    inputs = f"{len(columns)} indicators (missing allowed)"
    if train.image_vectors is not None:
        inputs = f"mean {VECTORS[train.modality]} of {train.image_vectors.shape[1]} dimensions and {inputs}"
    return classifier(
        XGBOOST,
        f"xgboost, {XGBOOST_ROUNDS} trees of depth {XGBOOST_SETTINGS['max_depth']}, eta "
        f"{XGBOOST_SETTINGS['eta']}, on {inputs}; fitted on {len(train)} patients",
        lambda patients: fitted.predict(xgboost.DMatrix(matrix(patients), nthread=1)).astype(np.float64),
        reads_indicators=bool(columns),
    )


def fit_colour(train: Population) -> FittedModel:
    """Control: logistic regression on the mean colour of the raw patches. It should not predict anything."""
    colour = train.colour
    if colour is None:
        raise AnalysisError(f"cohort {train.cohort}", "has no mean colours", "Extract the images first.")
    pipeline = _logistic_pipeline().fit(colour, train.y)

    def predict(patients: Population) -> NDArray[np.float64]:
        unknown = np.full((len(patients), 3), np.nan)
        return _positive(pipeline, unknown if patients.colour is None else patients.colour)

    return classifier(
        COLOUR,
        f"control: logistic regression (L2, C = 1) on the standardised mean red, green and blue of the raw "
        f"patches; fitted on {len(train)} patients",
        predict,
    )


def _logistic_pipeline() -> Pipeline:
    return make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=1.0, max_iter=1000),
    )


def _positive(pipeline: Pipeline, x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(pipeline.predict_proba(x)[:, 1]) if len(x) else np.zeros(0)


def _fit_on_images(train: Population, recipe: PrognosticRecipe, fit_images: FitRiskOfImages) -> RiskOfImages:
    vectors, owners = train.image_vectors, train.image_patient
    if vectors is None or owners is None:
        raise AnalysisError(f"cohort {train.cohort}", "has no images", "Extract the images first.")
    return fit_images(vectors, train.y[owners].astype(np.int64), recipe)


def _patient_risk(model: RiskOfImages, patients: Population) -> NDArray[np.float64]:
    if patients.image_vectors is None or not len(patients):
        return np.zeros(len(patients))
    return patients.patient_mean(np.asarray(model.predict(patients.image_vectors), dtype=np.float64))


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[~np.isnan(values)]

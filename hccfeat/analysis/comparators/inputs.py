"""What comparators learn from: the training patients, and their covariates scaled by nobody else's."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hccfeat.analysis.data import PatchBags, Population
from hccfeat.analysis.models import INNER_FOLDS, VECTORS, usable_indicators
from hccfeat.errors import AnalysisError
from hccfeat.stats.cox import TIES
from hccfeat.stats.risksets import Ties

Floats = NDArray[np.float64]
Covariates = Callable[[Population], Floats]


@dataclass(frozen=True)
class Training:
    """Patients whom one comparator is fitted on, and what it may use besides.

    Attributes
    ----------
    patients : Population
        Survival comparators: all with a time and status, cut at the horizon. Classifiers: all with a label.
    horizon : float or None
        In months; where ``patients.time`` was cut.
    seed : int
        Of everything drawn at random.
    bags : callable, optional
        Patient ids to the patch vectors of each (m, d).
    ties : {"efron", "breslow"}
        Of Cox regression by maximum likelihood.
    """

    patients: Population
    horizon: float | None
    seed: int
    bags: PatchBags | None = None
    ties: Ties = TIES

    @property
    def events(self) -> NDArray[np.bool_]:
        """Who had the event in time (n,)."""
        return self.patients.event > 0

    @property
    def ranks(self) -> Floats:
        """Place of each time among the distinct ones, from 1 (n,): all that partial likelihoods read of times."""
        return np.asarray(np.unique(self.patients.time, return_inverse=True)[1] + 1, dtype=np.float64)

    @property
    def reaches_horizon(self) -> bool:
        """Whether there is no horizon or somebody was followed to it: else no probability by then exists."""
        return self.horizon is None or bool((self.patients.time >= self.horizon).any())

    def take(self, keep: NDArray[np.bool_]) -> "Training":
        """The patients where ``keep`` is true."""
        return replace(self, patients=self.patients.take(keep))


def covariates(train: Population, *, images: bool, fill: bool = True) -> tuple[Covariates, str]:
    """How patients become rows of numbers; medians, means and SDs are those of the training patients.

    Parameters
    ----------
    train : Population
        Training patients.
    images : bool
        Whether the mean image vector of the patient comes before the indicators.
    fill : bool
        Fill missing indicators and standardise; False leaves NaN and units as they are.

    Returns
    -------
    (callable, str)
        Patients to covariates (n, p), and what they are.

    Raises
    ------
    AnalysisError
        If there is neither an image nor an indicator that varies.
    """
    columns = usable_indicators(train)
    vectors = train.image_vectors if images else None
    if vectors is None and not columns:
        what = "neither images nor indicators that vary" if images else "no indicator that varies"
        raise AnalysisError(f"cohort {train.cohort}", f"has {what}", "Ingest clinical indicators.")

    def rows(patients: Population) -> Floats:
        parts = [patients.indicators[:, columns]]
        if vectors is not None:
            mean = np.zeros((0, vectors.shape[1]))
            if len(patients) and patients.image_vectors is not None:
                mean = patients.patient_mean(patients.image_vectors)
            parts.insert(0, mean)
        return np.column_stack(parts)

    about = [f"{len(columns)} indicators"] if columns else []
    if vectors is not None:
        about.insert(0, f"mean {VECTORS[train.modality]} of {vectors.shape[1]} dimensions")
    said = " and ".join(about)
    if not fill:
        return rows, f"{said} (missing allowed)" if columns else said
    pipeline = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    pipeline.fit(rows(train))
    said = f"{said}, standardised" + (", training medians for missing ones" if columns else "")
    return (
        lambda patients: np.asarray(pipeline.transform(rows(patients))) if len(patients) else rows(patients),
        said,
    )


def inner_folds(outcome: NDArray[np.bool_], seed: int) -> list[NDArray[np.bool_]]:
    """Who is fitted on (n,), by inner fold of patients, stratified on an outcome.

    Five folds, fewer where a class has fewer patients, and none where one has a single patient.
    """
    count = min(INNER_FOLDS, int(outcome.sum()), int((~outcome).sum()))
    if count < 2:
        return []
    masks = []
    for fitting, _ in StratifiedKFold(count, shuffle=True, random_state=seed).split(outcome, outcome):
        inside = np.zeros(len(outcome), dtype=bool)
        inside[fitting] = True
        masks.append(inside)
    return masks

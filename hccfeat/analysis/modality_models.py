"""One recipe for every modality: principal components learnt in the training patients, and a logistic model.

The models differ in what they read and in nothing else, so that their difference is that of the modalities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from hccfeat.errors import AnalysisError

CLINICAL_INPUT = "clinical"
UNION = "union_components"
MOST_COMPONENTS = 16
PATIENTS_PER_COMPONENT = 10
RECIPE = (
    "training medians for missing values, standardised, principal components divided by the spread of the "
    "modality's first, logistic regression (L2, C = 1)"
)

Vectors = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class ModalityInput:
    """What one modality says about patients.

    Attributes
    ----------
    name : str
        Feature set, or ``clinical``.
    label : str
        For the reader, short.
    detail : str
        What the vectors are.
    vectors : mapping
        Patient -> vector (d,) float64, NaN where a value is missing; only patients who have the modality.
    seen : frozenset of str
        Patients who trained, stopped or selected its encoder; empty for clinical items.
    """

    name: str
    label: str
    detail: str
    vectors: Vectors
    seen: frozenset[str] = frozenset()

    @property
    def model(self) -> str:
        """Name of the model that reads this alone."""
        return f"{self.name}_components"

    def matrix(self, patients: Sequence[str]) -> NDArray[np.float64]:
        """Vectors of some patients (n, d)."""
        width = len(next(iter(self.vectors.values()))) if self.vectors else 0
        return np.stack([self.vectors[patient] for patient in patients]) if patients else np.zeros((0, width))


@dataclass(frozen=True, eq=False)
class ModalityModels:
    """The fitted models: one per modality, and the union of their components.

    Attributes
    ----------
    components : dict
        Model -> number of components it reads.
    trained, events : int
        Patients the models were fitted on, and those with the event.
    """

    components: dict[str, int]
    trained: int
    events: int
    _inputs: tuple[ModalityInput, ...]
    _reduced: dict[str, tuple[Pipeline, float]]
    _logistic: dict[str, LogisticRegression]

    def risks(self, patients: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """Predicted probability of the event (n,) of patients with every modality, by model, the union last."""
        if not patients:
            return {name: np.zeros(0) for name in self._logistic}
        blocks = _blocks(self._inputs, self._reduced, patients)
        return {name: np.asarray(self._logistic[name].predict_proba(x)[:, 1]) for name, x in blocks.items()}


def component_count(patients: int, width: int) -> int:
    """Components of a modality: at most 16, and one for every ten training patients."""
    return max(1, min(MOST_COMPONENTS, patients // PATIENTS_PER_COMPONENT, width))


def fit_modalities(
    inputs: Sequence[ModalityInput], patients: Sequence[str], y: NDArray[np.float64]
) -> ModalityModels:
    """Fit one model per modality and one on the components of all.

    Parameters
    ----------
    inputs : sequence of ModalityInput
        Two or more.
    patients : sequence of str (n,)
        Training patients with every modality.
    y : ndarray (n,)
        Their labels, 0 and 1, both present.

    Raises
    ------
    AnalysisError
        If a modality does not vary among the training patients.
    """
    reduced = {}
    for source in inputs:
        x = source.matrix(patients)
        if not (np.nanmax(x, axis=0, initial=-np.inf) > np.nanmin(x, axis=0, initial=np.inf)).any():
            problem = f"says the same about all {len(patients)} training patients"
            raise AnalysisError(f"modality {source.name}", problem, "Leave it out.")
        pipeline = make_pipeline(
            SimpleImputer(strategy="median", keep_empty_features=True),
            StandardScaler(),
            PCA(component_count(len(patients), x.shape[1]), svd_solver="full"),
        ).fit(x)
        # One factor for a modality: without it the widest one would hardly be penalised beside the others.
        reduced[source.model] = pipeline, float(np.sqrt(pipeline[-1].explained_variance_[0]))
    blocks = _blocks(inputs, reduced, patients)
    return ModalityModels(
        {name: x.shape[1] for name, x in blocks.items()},
        len(patients),
        int(y.sum()),
        tuple(inputs),
        reduced,
        {name: LogisticRegression(C=1.0, max_iter=1000).fit(x, y) for name, x in blocks.items()},
    )


def _blocks(
    inputs: Sequence[ModalityInput], reduced: Mapping[str, tuple[Pipeline, float]], patients: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Components of patients (n, k) by model; those of the union are all of them side by side."""
    blocks = {}
    for source in inputs:
        pipeline, spread = reduced[source.model]
        blocks[source.model] = np.asarray(pipeline.transform(source.matrix(patients)), dtype=np.float64) / spread
    return blocks | {UNION: np.column_stack(list(blocks.values()))}

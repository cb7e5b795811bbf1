"""What a model says of a population, and the times at which that is judged."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.data import Population
from hccfeat.analysis.models import FittedModel
from hccfeat.errors import AnalysisError

Floats = NDArray[np.float64]
YEARS = (12.0, 24.0, 36.0, 60.0)
"""Months at which an endpoint without a horizon is judged."""
LEAST_FOLLOWED = 10
"""Patients who must be followed beyond such a time."""
NO_PROBABILITY = "the model gives no probability"
ONE_TIME = "the model gives no probability by other times than its own"


@dataclass(frozen=True)
class Rating:
    """What a model says of the patients of a population.

    Attributes
    ----------
    risk : ndarray (n,)
        Higher is worse; ranks patients.
    probability : ndarray (n,) or None
        Of the label, or of the event by the endpoint's horizon.
    risk_by : callable or None
        Months (h,) to the probability of the event by each (n, h).
    """

    risk: Floats
    probability: Floats | None = None
    risk_by: Callable[[Floats], Floats] | None = None

    def by(self, months: float, horizon: float | None) -> tuple[Floats | None, str]:
        """Probability (n,) of the event by some months, or None and the reason why the model has none."""
        if horizon == months and self.probability is not None:
            return self.probability, ""
        if self.risk_by is None:
            return None, NO_PROBABILITY if self.probability is None else ONE_TIME
        try:
            return self.risk_by(np.array([months]))[:, 0], ""
        except AnalysisError as error:
            return None, f"the model's risk {error.problem}"

    def take(self, keep: NDArray[np.bool_]) -> "Rating":
        """What the model says of the patients where ``keep`` is true."""
        by = self.risk_by
        return Rating(
            self.risk[keep],
            None if self.probability is None else self.probability[keep],
            None if by is None else lambda months: by(months)[keep],
        )


def risk_of(model: FittedModel, patients: Population) -> Floats:
    """Predicted risk of each patient (n,).

    Raises
    ------
    AnalysisError
        If the model gives anything but one finite number per patient.
    """
    return _checked(model.name, model.predict(patients), len(patients), "risks that are not finite numbers")


def rate(model: FittedModel, patients: Population) -> Rating:
    """Ask a model about patients.

    Raises
    ------
    AnalysisError
        If it gives anything but one finite risk per patient, or a probability outside 0..1.
    """
    risk, probability = risk_of(model, patients), None
    if model.probability is not None:
        problem = "probabilities that are not between 0 and 1"
        probability = _checked(model.name, model.probability(patients), len(patients), problem)
        if len(patients) and (probability.min() < 0 or probability.max() > 1):
            raise AnalysisError(f"model {model.name}", f"gave {problem}", "Report this.")
    by = model.risk_by
    return Rating(risk, probability, None if by is None else lambda months: by(patients, months))


def judging_times(patients: Population, horizon: float | None) -> tuple[float, ...]:
    """Months at which risks are judged under censoring.

    The horizon; without one, one, two, three and five years, as far as ten patients are followed beyond them.
    Outcomes of the patients do not matter.
    """
    if horizon is not None:
        return (horizon,)
    return tuple(year for year in YEARS if followed_beyond(patients, year) >= LEAST_FOLLOWED)


def followed_beyond(patients: Population, months: float) -> int:
    """How many patients are followed beyond a time without the event; two are needed to judge a risk there."""
    return int((patients.months[patients.followed] > months).sum())


def _checked(model: str, values: NDArray, n: int, problem: str) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if found.shape != (n,) or not np.isfinite(found).all():
        raise AnalysisError(f"model {model}", f"gave {problem}", "Check the embeddings with `verify`.")
    return found

"""Curves of cross-validated models, of each patient's probability by models fitted without that patient."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.curves import calibration_curve, decision_curve, risk_distribution
from hccfeat.analysis.data import EndpointData, Population
from hccfeat.analysis.judging import decisions_without_model
from hccfeat.analysis.rating import Rating, followed_beyond
from hccfeat.analysis.results import EndpointResult

Floats = NDArray[np.float64]
Key = tuple[str, float | None]
"""Model, and the months by which the event is predicted; None for the label, or the horizon's own probability."""


@dataclass
class OutOfFold:
    """Probabilities of the judges of every fold and repeat.

    Attributes
    ----------
    totals : dict
        Key -> sum (n,) over the repeats.
    repeats : dict
        Key -> how many repeats gave each patient one (n,).
    """

    totals: dict[Key, Floats] = field(default_factory=dict)
    repeats: dict[Key, NDArray[np.int64]] = field(default_factory=dict)

    def add(
        self, model: str, rating: Rating, rows: NDArray[np.bool_], times: tuple[float, ...], horizon: float | None
    ) -> None:
        """Take in what a model says of the judges of a fold, the patients where ``rows`` (n,) is true."""
        for when in (None, *times):
            probability = rating.probability if when is None else rating.by(when, horizon)[0]
            if probability is not None:
                key = model, when
                self.totals.setdefault(key, np.zeros(len(rows)))[rows] += probability
                self.repeats.setdefault(key, np.zeros(len(rows), dtype=np.int64))[rows] += 1

    def means(self) -> Iterator[tuple[str, float | None, Floats]]:
        """Model, months and each patient's mean over the repeats (n,), NaN for whom none gave a probability."""
        for key, total in self.totals.items():
            count = self.repeats[key]
            yield *key, np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)

    @property
    def method(self) -> str:
        """What the probabilities are, in words."""
        least, most = (f(int(count.max(initial=0)) for count in self.repeats.values()) for f in (min, max))
        text = "out-of-fold: each patient's probability by models fitted without that patient"
        if most == 1:
            return text
        fewer = "" if least == most else f" (where a model was fitted less often, as few as {least})"
        return f"{text}, averaged over {most} repeats{fewer}"


def add_curves(result: EndpointResult, data: EndpointData, patients: Population, found: OutOfFold) -> None:
    """Add calibration and decision curves and the distribution of the risk of cross-validated models.

    A risk that is no probability has none of them: risks of different folds are not on one scale.

    Parameters
    ----------
    result : EndpointResult
        Is added to.
    data : EndpointData
        Names the endpoint and its horizon.
    patients : Population
        Those dealt to folds (n).
    found : OutOfFold
        Of these patients.
    """
    if not found.totals:
        return
    for model, when, probability in found.means():
        keep = np.isfinite(probability) & (patients.labelled if when is None else patients.followed)
        judges, said = patients.take(keep), probability[keep]
        if not len(judges) or (when is not None and followed_beyond(judges, when) < 2):
            continue
        calibration = calibration_curve(model, judges, said, when)
        decision = decision_curve(model, judges, said, when)
        spread = risk_distribution(model, judges, said, unit=True) if when is None else None
        if calibration is not None:
            method = f"{calibration.method}; {found.method}"
            result.calibrations.append(replace(calibration, method=method))
        if decision is not None:
            result.decisions.append(replace(decision, method=f"{decision.method}; {found.method}"))
        if spread is not None:
            result.distributions.append(replace(spread, method=found.method))
    result.decisions += decisions_without_model(data, patients)

"""From what a survival model gives to the probability of the event by some months."""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.comparators.inputs import Training
from hccfeat.analysis.data import Population
from hccfeat.analysis.models import FittedModel
from hccfeat.errors import AnalysisError
from hccfeat.stats.coxmodel import CollinearityError, SeparationError, fit_risk_sets
from hccfeat.stats.risksets import RiskSets, Ties

Floats = NDArray[np.float64]
RiskOf = Callable[[Population], Floats]
RiskBy = Callable[[Population, Floats], Floats]
LARGEST = 500.0
"""Of a log hazard; beyond it the probability is 0 or 1 to the last digit."""


def survival_model(train: Training, name: str, description: str, predict: RiskOf, risk_by: RiskBy) -> FittedModel:
    """A model that ranks by ``predict`` and knows the probability of the event by any followed month.

    There is no probability if no training patient was followed to the horizon.
    """
    horizon = train.horizon
    known = train.reaches_horizon

    def checked(patients: Population, months: Floats) -> Floats:
        last = float(train.patients.time.max())
        if len(months) and months.max() > last:
            problem = f"was fitted on follow-up to {last:g} months, not {months.max():g}"
            raise AnalysisError(f"model {name}", problem, "Ask for an earlier month.")
        return risk_by(patients, months) if len(patients) else np.zeros((0, len(months)))

    def probability(patients: Population) -> Floats:
        return checked(patients, np.array([horizon], dtype=np.float64))[:, 0]

    return FittedModel(
        name,
        description,
        lambda patients: predict(patients) if len(patients) else np.zeros(0),
        reads_indicators=bool(train.patients.indicator_names),
        probability=probability if known and horizon is not None else None,
        risk_by=checked if known else None,
    )


def through_baseline(
    train: Training, log_hazard: RiskOf, ties: Ties, own: Callable[[], Floats] | None = None
) -> RiskBy:
    """1 - exp(-H0(t) exp(lp)), with H0 the training patients' cumulative baseline hazard.

    H0 is Breslow's (1972) sum of 1/denominator over the events by t, or with ``efron`` that of Efron's
    denominators, as R's ``survfit(coxph)``. ``own`` gives log hazards (n,) of the training patients by models that
    did not see them, where those of the model itself are too good: lp is then multiplied by its slope in a Cox
    model of those (not below 0). The baseline is made when a probability is asked for.
    """

    @cache
    def baseline() -> tuple[Floats, Floats, float, float]:
        sets = RiskSets(train.patients.time, train.events, ties)
        known = log_hazard(train.patients) if own is None else own()
        slope = 1.0 if own is None else _slope(sets, known)
        centre = float(known.mean())
        steps = 1 / sets.row_sums(_relative(known - centre, slope)[sets.order])
        return sets.time[sets.events], np.append(0.0, np.cumsum(steps)), centre, slope

    def risk_by(patients: Population, months: Floats) -> Floats:
        times, hazard, centre, slope = baseline()
        at = hazard[np.searchsorted(times, months, side="right")]
        return np.asarray(-np.expm1(-_relative(log_hazard(patients) - centre, slope)[:, None] * at))

    return risk_by


def _slope(sets: RiskSets, log_hazard: Floats) -> float:
    try:
        return max(0.0, float(fit_risk_sets(sets, log_hazard[:, None]).coefficients[0]))
    except CollinearityError:
        return 0.0
    except SeparationError:
        return 1.0


def _relative(log_hazard: Floats, slope: float) -> Floats:
    return np.asarray(np.exp(np.clip(slope * log_hazard, -LARGEST, LARGEST)))

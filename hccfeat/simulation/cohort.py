"""Patients, indicators, treatment and outcomes of a simulated cohort; tabular only and fast."""

from dataclasses import dataclass, fields

import numpy as np
from scipy.special import expit

from hccfeat.simulation.parameters import ASSIGNMENT_INDICATORS, Parameters, Value

COHORTS = ("internal", "external", "mri")
"""All cohorts; the place in this tuple is part of the seed of a cohort's random numbers."""

ID_PREFIX = {"internal": "P", "external": "E", "mri": "M"}


@dataclass(frozen=True)
class Cohort:
    """Arrays of equal length n, one element per patient; latents first, then what the hospital sees.

    Attributes
    ----------
    name : str
    patient_id : str array
        ``P0001`` ... in the internal cohort, ``E0001`` ... in the external one, ``M0001`` ... in the MRI cohort.
    aggressiveness : float64
        A.
    treatment_probability : float64
        P(Z = 1) by the assignment model (0 where nobody is treated).
    replaced : bool
        Recurrence time replaced by a draw from the marginal distribution.
    recurrence_latent, death_latent, censoring : float64
        Months, before the first of them ends the observation.
    age : float64
        Years.
    sex : str array
        ``male`` or ``female``.
    hbsag, vascular_invasion : int64
        0 or 1.
    alt, afp, tumour_size : float64
        U/L, ng/mL, cm.
    bclc : str array
        ``0``, ``A``, ``B`` or ``C``; the papers' two groups are I = 0 or A, II = B or C.
    treated : bool
        Sorafenib.
    recurrence_months, recurrence_event : float64, bool
        min(recurrence, death, censoring) and whether recurrence came first.
    os_months, os_event : float64, bool
        min(death, censoring) and whether death came first.
    """

    name: str
    patient_id: np.ndarray
    aggressiveness: np.ndarray
    treatment_probability: np.ndarray
    replaced: np.ndarray
    recurrence_latent: np.ndarray
    death_latent: np.ndarray
    censoring: np.ndarray
    age: np.ndarray
    sex: np.ndarray
    hbsag: np.ndarray
    alt: np.ndarray
    afp: np.ndarray
    tumour_size: np.ndarray
    bclc: np.ndarray
    vascular_invasion: np.ndarray
    treated: np.ndarray
    recurrence_months: np.ndarray
    recurrence_event: np.ndarray
    os_months: np.ndarray
    os_event: np.ndarray

    def __len__(self) -> int:
        return len(self.patient_id)

    def columns(self) -> dict[str, np.ndarray]:
        """All arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "name"}

    def indicator(self, name: str, above: float) -> np.ndarray:
        """Return the bool array ``value > above`` of a numeric column."""
        return np.asarray(getattr(self, name) > above)


def simulate_patients(parameters: Parameters, seed: int, cohort: str = "internal") -> Cohort:
    """Draw the patients of one cohort.

    The same seed gives the same A, indicators and random numbers whatever pi, gamma, b_z and b_az are, so that
    arms of a comparison can be paired. A replaced recurrence time is that of an independent patient of the same
    population (own A, indicators and treatment): a draw from the marginal distribution.

    Parameters
    ----------
    parameters : Parameters
        ``parameters.population(cohort)`` gives the number of patients. With a fixed number of treated patients, the
        first treated and untreated ones of a longer stream are taken until both numbers are reached.
    seed : int
    cohort : {"internal", "external", "mri"}

    Returns
    -------
    Cohort
    """
    size = parameters.population(cohort)
    stream = size.patients
    if size.treated > 0:
        share = parameters.treatment.share
        needed = max(size.treated / share, (size.patients - size.treated) / (1 - share))
        stream = int(2 * needed) + 50
    rng = np.random.default_rng([seed, COHORTS.index(cohort), 1])
    own = _population(parameters, stream, rng, treated=size.treated != 0)
    other = _population(parameters, stream, rng, treated=size.treated != 0)
    columns = own | _outcomes(parameters, own, other, rng)
    keep = _quota(columns["treated"], size.patients, size.treated)
    names = np.array([f"{ID_PREFIX[cohort]}{number:04d}" for number in range(1, size.patients + 1)])
    return Cohort(name=cohort, patient_id=names, **{key: column[keep] for key, column in columns.items()})


def _population(
    parameters: Parameters, n: int, rng: np.random.Generator, *, treated: bool
) -> dict[str, np.ndarray]:
    """A, indicators and treatment of n independent patients."""
    a = rng.standard_normal(n)
    latent = {
        name: indicator.loading * a + np.sqrt(1 - indicator.loading**2) * rng.standard_normal(n)
        for name, indicator in parameters.indicators.items()
    }
    draw = rng.random(n)
    distance = {name: latent[name] - parameters.indicators[name].cut[0] for name in ASSIGNMENT_INDICATORS}
    positive = np.column_stack([distance[name] > 0 for name in ASSIGNMENT_INDICATORS])
    assignment = parameters.treatment
    probability = expit(assignment.intercept + positive @ np.array(assignment.coefficients()))
    probability = probability if treated else np.zeros(n)
    z = draw < probability
    for name, indicator in parameters.indicators.items():
        distance.setdefault(name, latent[name] - np.where(z, indicator.cut[1], indicator.cut[0]))
    numbers = {
        name: _number(indicator.value, distance[name])
        for name, indicator in parameters.indicators.items()
        if indicator.value is not None
    }
    invasion = distance["vascular_invasion"] > 0
    early = np.where((numbers["tumour_size"] <= parameters.stages.stage_0_up_to_cm) & ~invasion, "0", "A")
    late = np.where(invasion, "C", "B")
    return {
        "aggressiveness": a,
        "treatment_probability": probability,
        "treated": z,
        "sex": np.where(distance["sex"] > 0, "male", "female"),
        "hbsag": (distance["hbsag"] > 0).astype(np.int64),
        "vascular_invasion": invasion.astype(np.int64),
        "bclc": np.where(distance["bclc"] > 0, late, early),
        **numbers,
    }


def _number(value: Value, distance: np.ndarray) -> np.ndarray:
    step = value.scale * distance
    number = value.at_cut + step if value.form == "linear" else value.at_cut * np.exp(step)
    return np.round(np.clip(number, *value.range), value.decimals)


def _recurrence_hazard(parameters: Parameters, people: dict[str, np.ndarray]) -> np.ndarray:
    outcomes = parameters.outcomes
    a, z = people["aggressiveness"], people["treated"]
    return outcomes.recurrence_hazard * np.exp(a + outcomes.b_z * z + outcomes.b_az * a * z)


def _outcomes(
    parameters: Parameters, own: dict[str, np.ndarray], other: dict[str, np.ndarray], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    outcomes = parameters.outcomes
    n = own["aggressiveness"].size
    recurrence = rng.standard_exponential(n) / _recurrence_hazard(parameters, own)
    marginal = rng.standard_exponential(n) / _recurrence_hazard(parameters, other)
    death = rng.standard_exponential(n) / (outcomes.death_hazard * np.exp(outcomes.gamma * own["aggressiveness"]))
    replaced = rng.random(n) < outcomes.pi
    recurrence = np.where(replaced, marginal, recurrence)
    censoring = rng.uniform(*outcomes.censoring_months, n)
    end = np.minimum(death, censoring)
    return {
        "replaced": replaced,
        "recurrence_latent": recurrence,
        "death_latent": death,
        "censoring": censoring,
        "recurrence_months": _months(np.minimum(recurrence, end), outcomes.shortest_months),
        "recurrence_event": recurrence <= end,
        "os_months": _months(end, outcomes.shortest_months),
        "os_event": death <= censoring,
    }


def _months(months: np.ndarray, shortest: float) -> np.ndarray:
    return np.maximum(np.round(months, 2), shortest)


def _quota(treated: np.ndarray, patients: int, treated_patients: int) -> np.ndarray:
    """Row numbers of the patients kept, in the order drawn."""
    if treated_patients <= 0:
        return np.arange(patients)
    kept = np.concatenate(
        [np.flatnonzero(treated)[:treated_patients], np.flatnonzero(~treated)[: patients - treated_patients]]
    )
    if kept.size < patients:
        message = "the stream of simulated patients was too short for the fixed number of treated patients"
        raise RuntimeError(message)
    return np.sort(kept)

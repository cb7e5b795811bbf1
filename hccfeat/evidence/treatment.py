"""The sorafenib x risk interaction: Cox regression on tabular cohorts with confounding by indication."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hccfeat.evidence.page import Evidence
from hccfeat.evidence.patients import image_signal
from hccfeat.evidence.record import Part, Record, Row
from hccfeat.evidence.running import run_missing
from hccfeat.evidence.settings import Settings, identity, load_settings, simulation
from hccfeat.evidence.studies import Options
from hccfeat.evidence.treatment_page import FITS, page
from hccfeat.simulation.cohort import Cohort, simulate_patients
from hccfeat.stats.cox import CoxModel, cox_multivariable

COVARIATES = ("vascular invasion", "size > 5 cm", "BCLC II", "AFP > 20 ng/mL")
COLUMNS = (*(f"{fit}:{value}" for fit in FITS for value in ("estimate", "error")), "treated", "events")
"""Numbers of a cohort: coefficient and standard error of treatment x risk in each model."""
INTERACTION = "treatment x risk"
DECIMALS = 4


def run(options: Options) -> Evidence:
    """Run what is missing and put the page together."""
    settings = load_settings()
    record = Record(options.out / "treatment.json", "treatment")
    cohorts = _cohorts(record, settings, options.replicates)
    targets = _targets(record, settings)
    return page(options.command, record, cohorts, targets, settings.treatment)


def _cohorts(record: Record, settings: Settings, replicates: int | None) -> Part:
    study = settings.treatment
    facts = identity(settings, images_per_patient=study.images_per_patient)
    part = record.part("cohorts", facts, ("patients", "pi", "b_az", "seed", *COLUMNS), 4)
    todo = [
        (patients, pi, b_az, seed)
        for patients, count in zip(study.patients, study.replicates, strict=True)
        for seed in range(1, (replicates or count) + 1)
        for pi in study.pi
        for b_az in study.b_az
    ]
    return run_missing(record, part, "Treatment, cohorts", todo, partial(replicate, study.images_per_patient))


def _targets(record: Record, settings: Settings) -> Part:
    """The same models in one very large cohort of each setting: what their estimates aim at."""
    study = settings.treatment
    facts = identity(settings, images_per_patient=study.images_per_patient)
    part = record.part("population", facts, ("patients", "pi", "b_az", "seed", *COLUMNS), 4)
    todo = [(study.population, pi, b_az, study.population_seed) for pi in study.pi for b_az in study.b_az]
    return run_missing(record, part, "Treatment, population", todo, partial(replicate, study.images_per_patient))


def replicate(images: int, patients: int, pi: float, b_az: float, seed: int) -> Row:
    """One cohort, in the order of :data:`COLUMNS`; None where a model has no finite estimate.

    Parameters
    ----------
    images : int
        Images per patient whose mean signal is the noisy risk.
    patients : int
        Treated and untreated together; who is treated follows the assignment model.
    pi : float
        Share of recurrence times that disease does not decide.
    b_az : float
        True coefficient of A x Z in the log hazard of recurrence.
    seed : int
    """
    parameters = simulation(patients, pi, 1.0, b_az)
    cohort = simulate_patients(parameters, seed)
    signal = image_signal(cohort.aggressiveness, parameters.signal, images, seed).mean(axis=1)
    numbers: list[Any] = []
    for risk in (cohort.aggressiveness, signal):
        for products in (False, True):
            term = fit(cohort, risk, products=products).term(INTERACTION)
            pair = (None, None) if term is None else (term.coefficient, term.standard_error)
            numbers += [None if value is None else round(value, DECIMALS) for value in pair]
    return [*numbers, int(cohort.treated.sum()), int(cohort.recurrence_event.sum())]


def fit(cohort: Cohort, risk: NDArray[np.float64], *, products: bool) -> CoxModel:
    """Cox regression of recurrence on treatment, risk, their product, and the covariates of the assignment.

    Parameters
    ----------
    cohort : Cohort
    risk : float64 (n,)
        In its own units; centred here, so that the coefficient of treatment is that at mean risk.
    products : bool
        Also the product of risk with each covariate.
    """
    centred = risk - risk.mean()
    covariates = np.column_stack(
        [
            cohort.vascular_invasion == 1,
            cohort.tumour_size > 5,
            np.isin(cohort.bclc, ("B", "C")),
            cohort.afp > 20,
        ]
    ).astype(np.float64)
    names = ["treatment", "risk", INTERACTION, *COVARIATES]
    columns = [cohort.treated, centred, cohort.treated * centred, *covariates.T]
    if products:
        names += [f"{name} x risk" for name in COVARIATES]
        columns += [*(covariates * centred[:, None]).T]
    x = np.column_stack(columns).astype(np.float64)
    return cox_multivariable(cohort.recurrence_months, cohort.recurrence_event, x, names)

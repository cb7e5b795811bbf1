"""The interaction of treatment and risk where patients lack a covariate: imputed, and pooled."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hccfeat.analysis.hazards import per_sd
from hccfeat.analysis.imputed import PooledModel, nelson_aalen, pooled_cox
from hccfeat.analysis.indicator_hazards import LEAST_KNOWN
from hccfeat.analysis.interaction import PRODUCT, RISK, TREATMENT, Interaction, design
from hccfeat.analysis.treatment import Patients
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError
from hccfeat.stats.columns import constant, independent_columns
from hccfeat.stats.cox import CoxModel, CoxTerm
from hccfeat.stats.estimate import exponential
from hccfeat.stats.imputer import fit_imputer
from hccfeat.stats.survival import FEW_EVENTS

Floats = NDArray[np.float64]


def interactions_imputed(
    patients: Patients, covariates: Mapping[str, pl.Series], settings: AnalysisConfig
) -> tuple[Interaction, ...]:
    """Test the product as :func:`hccfeat.analysis.interaction.interaction` does, of all patients, by D3.

    Treatment, risk and their product are complete; a missing covariate is drawn from a joint normal distribution
    of the covariates with all that the models hold beside them: treatment, risk, their product, the event and its
    cumulative hazard (White and Royston 2009), and the products of the risk with these two. Without the last the
    product of risk and covariate, which stands for what the covariate could lend to treatment, is pulled to zero
    and the test of treatment finds too much (Tilling et al. 2016; docs/decisions/0025). Products with a covariate
    are computed from the completed covariate. By maximum likelihood: where an estimate runs to infinity there is
    no test.

    Parameters
    ----------
    patients : Patients
        Both arms (n).
    covariates : mapping
        Name -> values (n,), Boolean or number, null where missing. One that fewer than half have is left out.
    settings : AnalysisConfig
        What is done about missing values, imputations, seed and ties.

    Returns
    -------
    tuple of Interaction
        Without and with the products of the risk with each covariate; ``chisq`` is D3's F times its one degree of
        freedom. Empty where no covariate that is known to half of the patients is missing, or the settings ask
        for complete cases.
    """
    known, left_out = _usable(covariates, len(patients))
    lacking = np.isnan(np.column_stack([np.ones((len(patients), 0)), *known.values()])).any(axis=1)
    if settings.missing == "complete" or not lacking.any():
        return ()
    treated = patients.treated
    basis = f"{settings.imputations} imputations, {lacking.sum()} of {len(patients)} patients with a missing item"
    empty = CoxModel((), None, len(patients), int(patients.event.sum()), settings.ties, {})
    found = Interaction(
        *("", empty, empty, None, None, None),
        n=(int((~treated).sum()), int(treated.sum())),
        events=(int(patients.event[~treated].sum()), int(patients.event[treated].sum())),
        incomplete=int(lacking.sum()),
        left_out=left_out,
        imputed=basis,
    )
    names = [f"adjusted for {', '.join(known)}, imputed"]
    names.append(f"adjusted for {', '.join(known)} and their products with the risk, imputed")
    return tuple(
        _pooled(replace(found, name=name), patients, known, settings, with_products=products)
        for name, products in zip(names, (False, True), strict=True)
    )


def _usable(covariates: Mapping[str, pl.Series], n: int) -> tuple[dict[str, Floats], dict[str, str]]:
    """Covariates that enough patients have, NaN where missing (n,), and why others are left out."""
    known, left_out = {}, {}
    for name, values in covariates.items():
        column = values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        if values.null_count() > (1 - LEAST_KNOWN) * n or not n:
            left_out[name] = f"not known for {values.null_count()} of {n} patients"
        elif constant(column[~np.isnan(column)]):
            left_out[name] = "constant"
        else:
            known[name] = column
    return known, left_out


def _pooled(
    found: Interaction,
    patients: Patients,
    known: Mapping[str, Floats],
    settings: AnalysisConfig,
    *,
    with_products: bool,
) -> Interaction:
    """The test, or why there is none."""
    events = sum(found.events)
    if not all(found.n) or not all(found.events):
        return replace(found, reason=f"{TREATMENT}: an arm without patients or events")
    if events < FEW_EVENTS:
        return replace(found, reason=f"only {events} events (fewer than {FEW_EVENTS})")
    try:
        names, x = _copies(patients, known, settings, with_products=with_products)
        kept, repeated = independent_columns(x[0], names)
        if lacking := [f"{name}: {repeated[name]}" for name in (TREATMENT, RISK, PRODUCT) if name in repeated]:
            return replace(found, reason="; ".join(lacking))
        if events <= len(kept):
            return replace(found, reason=f"{events} events for {len(kept)} coefficients")
        shown, event = [names[k] for k in kept], patients.event.astype(np.float64)
        larger = pooled_cox(patients.months, event, x[:, :, kept], shown, settings.ties, tested=1)
        smaller = pooled_cox(patients.months, event, x[:, :, kept[:-1]], shown[:-1], settings.ties)
        return replace(
            found,
            smaller=_as_cox(smaller, settings, repeated),
            larger=_as_cox(larger, settings, repeated),
            chisq=larger.test.f * larger.test.df,
            df=larger.test.df,
            p=larger.test.p,
            left_out=found.left_out | repeated,
            imputed=larger.said,
        )
    except AnalysisError as error:
        return replace(found, reason=f"not pooled: {error.entity} {error.problem}")


def _copies(
    patients: Patients, known: Mapping[str, Floats], settings: AnalysisConfig, *, with_products: bool
) -> tuple[list[str], Floats]:
    """Names and completed columns (m, n, p) of the larger model."""
    treated, risk = patients.treated.astype(np.float64), per_sd(patients.risk)
    risk = risk - risk.mean()
    event, hazard = patients.event.astype(np.float64), nelson_aalen(patients.months, patients.event)
    beside = [treated, risk, treated * risk, event, hazard, risk * event, risk * hazard]
    rows = np.column_stack([*known.values(), *beside])
    imputer = fit_imputer(rows, imputations=settings.imputations, seed=settings.seed)
    covariates = imputer.completed[:, :, : len(known)]
    # One centre for all copies, for the coefficient of the risk is that at the centre.
    middle = covariates.mean(axis=(0, 1))
    made = [design(treated, risk, one, middle, list(known), with_products=with_products) for one in covariates]
    return made[0][0], np.stack([x for _, x in made])


def _as_cox(model: PooledModel, settings: AnalysisConfig, left_out: Mapping[str, str]) -> CoxModel:
    """Pooled coefficients as terms of a Cox model, with limits and P of Rubin's t distributions."""
    pooled, terms = model.pooled, []
    numbers = (pooled.estimates, pooled.standard_errors, pooled.lower, pooled.upper, pooled.p)
    for name, *row in zip(model.terms, *(one.tolist() for one in numbers), strict=True):
        estimate, error, lower, upper, p = row
        if (ratio := exponential(estimate)) is None:
            raise AnalysisError("interaction", f"the hazard ratio of {name} is too large to write", "Rescale it.")
        terms.append(CoxTerm(name, estimate, error, ratio, exponential(lower), exponential(upper), p))
    return CoxModel(tuple(terms), None, model.n, model.events, settings.ties, dict(left_out))

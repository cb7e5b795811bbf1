"""Whether the effect of treatment depends on the PPS risk: a Cox model with their product, adjusted."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from hccfeat.analysis.hazards import per_sd
from hccfeat.analysis.treatment import Patients
from hccfeat.stats.cox import CoxModel, cox_multivariable, likelihood_ratio

TREATMENT, RISK, PRODUCT = "sorafenib", "PPS risk per SD", "sorafenib x PPS risk"
MOST_MISSING = 0.2
"""A covariate that more of the patients lack is left out, rather than the patients."""


@dataclass(frozen=True)
class Interaction:
    """Cox models without (``smaller``) and with (``larger``) the product of treatment and risk.

    ``chisq``, ``df`` and ``p`` are of the likelihood-ratio test between them, None where it cannot be made;
    ``reason`` then says why. ``arms`` are the patients and events (untreated, treated) who took part.
    """

    name: str
    smaller: CoxModel
    larger: CoxModel
    chisq: float | None
    df: int | None
    p: float | None
    n: tuple[int, int]
    events: tuple[int, int]
    incomplete: int
    left_out: dict[str, str] = field(default_factory=dict)
    reason: str = ""


def interaction(
    patients: Patients, covariates: Mapping[str, pl.Series], *, with_products: bool = False
) -> Interaction:
    """Test whether treatment works differently at higher risk, adjusted for what decided about treatment.

    The risk is centred and in standard deviations of the patients who take part, so that the hazard ratio of
    treatment is that at their mean risk.

    Parameters
    ----------
    patients : Patients
        Both arms (n).
    covariates : mapping
        Name -> values (n,), Boolean or number, null where missing. One that more than a fifth lack is left out;
        patients who lack another are left out.
    with_products : bool
        Also give both models the product of the risk with each covariate. Covariates that decide about treatment
        can otherwise lend their own product with the risk to treatment (docs/evidence/treatment.md).
    """
    known, left_out = _columns(covariates, len(patients))
    matrix = np.column_stack([np.ones((len(patients), 0)), *known.values()])
    complete = ~np.isnan(matrix).any(axis=1)
    kept = patients.take(complete, patients.name)
    treated = kept.treated.astype(float)
    risk = per_sd(kept.risk)
    risk = risk - risk.mean() if len(risk) else risk
    names = [TREATMENT, RISK, *known]
    columns = [treated, risk, *matrix[complete].T]
    if with_products:
        names += [f"{RISK} x {name}" for name in known]
        columns += [risk * (column - column.mean()) if len(kept) else risk for column in matrix[complete].T]
    smaller_x = np.column_stack(columns)
    larger_x = np.column_stack([smaller_x, treated * risk])
    smaller = cox_multivariable(kept.months, kept.event, smaller_x, names)
    larger = cox_multivariable(kept.months, kept.event, larger_x, [*names, PRODUCT])
    reason = _why_not(smaller, larger)
    chisq, df, p = (None, None, None) if reason else likelihood_ratio(smaller, larger)
    arms = (~kept.treated, kept.treated)
    return Interaction(
        f"{patients.name}, with products of risk and covariates" if with_products else patients.name,
        smaller,
        larger,
        chisq,
        df,
        p,
        n=(int(arms[0].sum()), int(arms[1].sum())),
        events=(int(kept.event[arms[0]].sum()), int(kept.event[arms[1]].sum())),
        incomplete=len(patients) - len(kept),
        left_out=left_out | larger.left_out,
        reason=reason,
    )


def _columns(covariates: Mapping[str, pl.Series], n: int) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    known, left_out = {}, {}
    for name, values in covariates.items():
        if not n or values.null_count() > MOST_MISSING * n:
            left_out[name] = f"not known for {values.null_count()} of {n} patients"
        else:
            known[name] = values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return known, left_out


def _why_not(smaller: CoxModel, larger: CoxModel) -> str:
    """No test without each of treatment, risk and product: a product alone is no interaction."""
    if reason := smaller.reason or larger.reason:
        return reason
    for name in (TREATMENT, RISK, PRODUCT):
        if name in larger.left_out:
            return f"{name}: {larger.left_out[name]}"
    return ""

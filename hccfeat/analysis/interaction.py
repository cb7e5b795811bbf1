"""Whether the effect of treatment depends on the PPS risk: a Cox model with their product, adjusted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import chi2

from hccfeat.analysis.conditions import Condition
from hccfeat.analysis.hazards import FIRTH_GIVEN, FIRTH_TIES, per_sd
from hccfeat.analysis.multivariable import EVENTS_PER_TERM
from hccfeat.analysis.treatment import Patients
from hccfeat.errors import AnalysisError
from hccfeat.stats.cox import TIES, CoxModel, CoxTerm, cox_multivariable, likelihood_ratio
from hccfeat.stats.estimate import exponential
from hccfeat.stats.firth import FirthTerm, firth_cox
from hccfeat.stats.risksets import Ties

TREATMENT, RISK, PRODUCT = "sorafenib", "PPS risk per SD", "sorafenib x PPS risk"
MOST_MISSING = 0.2
"""A covariate that more of the patients lack is left out, rather than the patients."""


@dataclass(frozen=True)
class Interaction:
    """Cox models without (``smaller``) and with (``larger``) the product of treatment and risk.

    ``chisq``, ``df`` and ``p`` are of the likelihood-ratio test between them, None where it cannot be made;
    ``reason`` then says why. ``n`` and ``events`` are of (untreated, treated) who took part, ``incomplete`` are the
    patients who lack a covariate. They are left out, unless ``imputed`` tells of imputations: then the models and
    the test (D3) are pooled over these. Where an estimate runs to infinity the larger model is Firth's, the test
    that of its penalised likelihood, and ``replaced`` says why.
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
    replaced: str = ""
    imputed: str = ""

    @property
    def note(self) -> str:
        """Why there is no test, why it is Firth's, or over what it is pooled."""
        if self.replaced:
            return f"{self.replaced}; {FIRTH_GIVEN}"
        return self.reason or (self.imputed and f"D3 over {self.imputed}")


def interaction(
    patients: Patients,
    covariates: Mapping[str, pl.Series],
    *,
    with_products: bool = False,
    ties: Ties = TIES,
) -> Interaction:
    """Test whether treatment works differently at higher risk, adjusted for what decided about treatment.

    The risk is centred and in standard deviations of the patients who take part, so that the hazard ratio of
    treatment is that at their mean risk. Where an estimate runs to infinity or an arm has no events, Firth's method
    takes over, with Breslow's ties.

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
    ties : {"efron", "breslow"}
        Of the models by maximum likelihood.
    """
    known, left_out = _columns(covariates, len(patients))
    matrix = np.column_stack([np.ones((len(patients), 0)), *known.values()])
    complete = ~np.isnan(matrix).any(axis=1)
    kept = patients.take(complete, patients.name)
    treated, cases = kept.treated.astype(float), matrix[complete]
    risk = per_sd(kept.risk)
    risk = risk - risk.mean() if len(risk) else risk
    middle = cases.mean(axis=0) if len(cases) else np.zeros(len(known))
    names, x = design(treated, risk, cases, middle, list(known), with_products=with_products)
    smaller = cox_multivariable(kept.months, kept.event, x[:, :-1], names[:-1], ties)
    larger = cox_multivariable(kept.months, kept.event, x, names, ties)
    reason = _why_not(smaller, larger)
    chisq, df, p = (None, None, None) if reason else likelihood_ratio(smaller, larger)
    arms = (~kept.treated, kept.treated)
    found = Interaction(
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
    # Treatment varies and comes first: it is left out for an arm without events alone.
    empty = TREATMENT in larger.left_out and all(found.n)
    if smaller.separated or larger.separated or empty:
        return _firth(found, kept, x, names)
    return found


def design(
    treated: NDArray[np.float64],
    risk: NDArray[np.float64],
    covariates: NDArray[np.float64],
    middle: NDArray[np.float64],
    known: Sequence[str],
    *,
    with_products: bool,
) -> tuple[list[str], NDArray[np.float64]]:
    """Names and columns of the larger model, the product of treatment and risk last.

    Parameters
    ----------
    treated, risk : ndarray of float64 (n,)
        0/1, and centred.
    covariates : ndarray of float64 (n, p)
        Complete.
    middle : ndarray of float64 (p,)
        What is taken off the covariates in their products with the risk.
    known : sequence of str
        Names of the covariates.
    with_products : bool
        Whether to give these products.
    """
    names, columns = [TREATMENT, RISK, *known], [treated, risk, *covariates.T]
    if with_products:
        names += [f"{RISK} x {name}" for name in known]
        columns += list(risk * (covariates - middle).T)
    return [*names, PRODUCT], np.column_stack([*columns, treated * risk])


def _firth(found: Interaction, kept: Patients, x: NDArray[np.float64], names: Sequence[str]) -> Interaction:
    """The interaction with Firth's model as the larger one; as it was, and why, where that fails."""
    left_out = {name: why for name, why in found.larger.left_out.items() if name != TREATMENT}
    columns = [k for k, name in enumerate(names) if name not in left_out]
    try:
        if lacking := [f"{name}: {left_out[name]}" for name in (RISK, PRODUCT) if name in left_out]:
            raise AnalysisError("interaction", "; ".join(lacking), "Use more patients.")
        fit = firth_cox(kept.months, kept.event, x[:, columns])
        terms = tuple(_term(names[k], term) for k, term in zip(columns, fit.terms, strict=True))
    except AnalysisError as error:
        return replace(found, reason=f"{found.reason}; Firth's method failed: {error.problem}")
    larger = CoxModel(terms, None, fit.n, fit.events, FIRTH_TIES, left_out)
    p = terms[-1].p
    if p is None:
        return replace(found, larger=larger, reason=f"{found.reason}; Firth's method gives no P of the product")
    chisq = float(chi2.isf(p, 1))
    left_out = {name: why for name, why in found.left_out.items() if name != TREATMENT}
    return replace(
        found, larger=larger, chisq=chisq, df=1, p=p, left_out=left_out, reason="", replaced=found.reason
    )


def _term(name: str, term: FirthTerm) -> CoxTerm:
    ratio, lower, upper = (exponential(one) for one in (term.coefficient, term.lower, term.upper))
    if ratio is None:
        raise AnalysisError("interaction", f"the hazard ratio of {name} is too large to write", "Rescale it.")
    return CoxTerm(name, term.coefficient, term.standard_error, ratio, lower, upper, term.p)


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


def crowded(models: Sequence[Interaction]) -> list[Condition]:
    """One condition that counts the coefficients of those models that have few events for them."""
    fits = [(one.larger.events, len(one.larger.terms)) for one in models]
    listed = ", ".join(f"{events} for {terms}" for events, terms in fits if events < EVENTS_PER_TERM * terms)
    if not listed:
        return []
    reason = f"events for coefficients {listed}; fewer than {EVENTS_PER_TERM} each, so estimates lean to extremes"
    return [Condition("too_many_parameters", "interaction", reason)]

"""What a risk adds to another: likelihood ratio of both against the one, on patients who trained neither."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from hccfeat.analysis.imputed import pooled_cox, pooled_logistic
from hccfeat.analysis.judge_metrics import too_few
from hccfeat.analysis.judged_risks import JudgedRisks
from hccfeat.errors import AnalysisError
from hccfeat.stats.cox import TIES, cox_multivariable, likelihood_ratio
from hccfeat.stats.coxmodel import Test
from hccfeat.stats.estimate import Estimate, count
from hccfeat.stats.logistic import logistic
from hccfeat.stats.risksets import Ties
from hccfeat.stats.survival import FEW_EVENTS

Floats = NDArray[np.float64]


def added_value(
    judged: JudgedRisks, model: str, reference: str, ties: Ties = TIES
) -> tuple[Estimate, float | None]:
    """Likelihood-ratio test of a model's risk beside the reference's, against the reference's alone.

    Both risks enter as one coefficient each, on the logit scale where they are probabilities between 0 and 1, so
    that the test has one degree of freedom however many variables the models read. By Cox regression
    of everyone with a follow-up time; by logistic regression where the endpoint has none. Risks of a
    cross-validation are standardised inside their fold.

    Parameters
    ----------
    judged : JudgedRisks
        Patients who trained neither model.
    model, reference : str
        Names among its risks.
    ties : {"efron", "breslow"}
        Of Cox regression.

    Returns
    -------
    (Estimate, float or None)
        The chi-square as value, without interval, and its P; None where there is none, and the method says why.
    """
    keep = (judged.followed if judged.timed else judged.labelled) & judged.both(model, reference)
    fold = judged.fold[keep]
    columns = [linear_risk(judged.risks[name][keep], fold) for name in (reference, model)]
    event = judged.event[keep] if judged.timed else judged.y[keep]
    n, events = len(event), int(event.sum())
    what = f"likelihood ratio of {reference} and {model} against {reference} alone"
    try:
        if judged.timed:
            test, direction = _cox(judged.time[keep], event, columns, (reference, model), ties)
        else:
            test, direction = _logistic(event, columns, (reference, model))
    except AnalysisError as error:
        return Estimate(None, None, None, n, events, f"{what} not estimated: {error.problem}"), None
    method = f"{what}, {_how(judged, fold, ties)}: chi-square, {test.df} df; {direction}"
    return Estimate(test.chisq, None, None, n, events, method), test.p


def pooled_added_value(
    judged: JudgedRisks, model: str, reference: str, ties: Ties = TIES
) -> tuple[Estimate, float | None]:
    """The test of :func:`added_value` pooled over the completed risks of the patients (D3).

    Parameters
    ----------
    judged : JudgedRisks
        With completed risks of both models.
    model, reference, ties
        As there.

    Returns
    -------
    (Estimate, float or None)
        D3's F times its degrees of freedom as value, nearly a chi-square, without interval, and its P; None where
        there is none, and the method says why.
    """
    both = ~np.isnan(judged.completed[model] + judged.completed[reference]).any(axis=0)
    keep = (judged.followed if judged.timed else judged.labelled) & both
    fold = judged.fold[keep]
    names = (reference, model)
    event = judged.event[keep] if judged.timed else judged.y[keep]
    n, events = len(event), int(event.sum())
    what = f"likelihood ratio of {reference} and {model} against {reference} alone, indicators imputed"
    few = f"only {count(events, 'event')} (fewer than {FEW_EVENTS})" if events < FEW_EVENTS else ""
    try:
        if reason := few if judged.timed else too_few(n, events):
            raise _no_test(reason)
        copies = np.stack([linear_risk(judged.completed[name][:, keep], fold) for name in names], axis=2)
        if judged.timed:
            fit = pooled_cox(judged.time[keep], event, copies, names, ties, tested=1)
        else:
            fit = pooled_logistic(event, copies, names, tested=1)
    except AnalysisError as error:
        return Estimate(None, None, None, n, events, f"{what} not estimated: {error.problem}"), None
    ratio = "hazard ratio" if judged.timed else "odds ratio"
    direction = f"{ratio} of {model} {np.exp(fit.pooled.estimates[-1]):.3g} per SD"
    method = f"{what}, {_how(judged, fold, ties)}: D3 over {fit.said}; {direction}"
    return Estimate(fit.test.f * fit.test.df, None, None, n, events, method), fit.test.p


def _how(judged: JudgedRisks, fold: NDArray[np.int64], ties: Ties) -> str:
    """Kind of regression, and what it does about folds."""
    kind = f"Cox regression, {ties.title()} ties" if judged.timed else "logistic regression"
    return kind + (", risks standardised inside folds" if len(np.unique(fold)) > 1 else "")


def linear_risk(risk: Floats, fold: NDArray[np.int64]) -> Floats:
    """Logit of a probability, or the risk itself; centred, and per SD, inside each fold.

    Parameters
    ----------
    risk : ndarray of float64 (n,) or (m, n)
        Of n patients, or m copies of them on one scale.
    fold : ndarray of int64 (n,)
        Of each patient.
    """
    inside = risk.size and risk.min() > 0 and risk.max() < 1
    values = np.array(logit(risk) if inside else risk, dtype=np.float64)
    for number in np.unique(fold):
        rows = fold == number
        values[..., rows] -= values[..., rows].mean()
        spread = values[..., rows].std()
        values[..., rows] /= spread if spread > 0 else 1.0
    return values


def _cox(
    time: Floats, event: Floats, columns: list[Floats], names: tuple[str, str], ties: Ties
) -> tuple[Test, str]:
    smaller = cox_multivariable(time, event, columns[0][:, None], names[:1], ties)
    larger = cox_multivariable(time, event, np.column_stack(columns), names, ties)
    chisq, df, p = likelihood_ratio(smaller, larger)
    term = larger.term(names[1])
    if chisq is None or df is None or p is None or term is None:
        left_out = [f"{name} is {reason}" for name, reason in larger.left_out.items()]
        raise _no_test(smaller.reason or larger.reason or "; ".join(left_out))
    return Test(chisq, df, p), f"hazard ratio of {names[1]} {term.hr:.3g} per SD"


def _logistic(event: Floats, columns: list[Floats], names: tuple[str, str]) -> tuple[Test, str]:
    if reason := too_few(len(event), int(event.sum())):
        raise _no_test(reason)
    smaller = logistic(columns[0][:, None], event, [names[0]])
    larger = logistic(np.column_stack(columns), event, list(names))
    test = Test.of(max(2 * (larger.log_likelihood - smaller.log_likelihood), 0.0), 1)
    return test, f"odds ratio of {names[1]} {float(np.exp(larger.coefficients[2])):.3g} per SD"


def _no_test(reason: str) -> AnalysisError:
    return AnalysisError("likelihood-ratio test", reason, "Use more patients.")

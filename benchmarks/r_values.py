"""Every quantity of the R reference as hccfeat computes it, in the nesting of ``r_reference.json``."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit, logit

from hccfeat.stats.calibration import brier_score, calibration
from hccfeat.stats.concordance import concordance
from hccfeat.stats.coxmodel import CoxFit, Test, cox_model, nested_test
from hccfeat.stats.coxresiduals import predicted_risk
from hccfeat.stats.delong import paired_delong
from hccfeat.stats.discrimination import auroc
from hccfeat.stats.estimate import Estimate
from hccfeat.stats.km import follow_up, product_limit
from hccfeat.stats.logistic import LogisticFit, logistic
from hccfeat.stats.logrank import logrank_table
from hccfeat.stats.proportional import proportional_hazards
from hccfeat.stats.timedependent import Horizon, auc_at, brier_at, judgement_difference, null_risk

CLINICAL = ["HBsAg", "ALT", "AFP", "Tumorsize", "BCLC", "Vascularinvasion"]
FULL = ["Age", "Tumorsize", "Vascularinvasion", "Tumormultiplicity"]
OVERALL = [*FULL[:3], "TNM"]
MISSING = ["", "NA", "#N/A", "[Not Available]"]


def ours(data: Path) -> dict[str, Any]:
    """Our numbers in the nesting of the reference."""
    frame = pl.read_csv(data / "hcc_li2014" / "hepatoCellular.csv")
    return {**_cox(frame), **_curves(frame), **_horizon(frame), **_time_dependent(frame), **_tcga(data)}


def _cox(d: pl.DataFrame) -> dict[str, Any]:
    time, event = d["RFS"].to_numpy(), d["Recurrence"].to_numpy()
    early = event * (time <= 12)
    full = cox_model(time, event, d[FULL].to_numpy())
    two = d[["Vascularinvasion", "Tumorsize"]].to_numpy().astype(float)
    with_interaction = cox_model(time, event, np.column_stack([two, two.prod(axis=1)]))
    gained = nested_test(cox_model(time, event, two), with_interaction)
    zph = proportional_hazards(full)
    uno = concordance(time, event, full.linear_predictor, weights="uno")
    harrell = concordance(time, event, full.linear_predictor)
    return {
        "cox_multivariable": {
            "efron": _cox_numbers(full),
            "breslow": _cox_numbers(cox_model(time, event, d[FULL].to_numpy(), "breslow")),
        },
        "cox_univariable": [_cox_numbers(cox_model(time, event, d[name].to_numpy())) for name in CLINICAL],
        "cox_univariable_12m": [_cox_numbers(cox_model(time, early, d[name].to_numpy())) for name in CLINICAL],
        "cox_os": _cox_numbers(cox_model(d["OS"], d["Death"], d[OVERALL].to_numpy())),
        "cox_interaction": {
            "coef": with_interaction.coefficients, "lrt_chisq": gained.chisq, "lrt_p": gained.p,
        },
        "cox_zph_km": {
            key: [getattr(test, key) for test in (*zph.terms, zph.together)] for key in ("chisq", "df", "p")
        },
        "concordance": {
            "harrell": harrell.value, "harrell_se": harrell.standard_error,
            "uno_no_tau": uno.value, "uno_se": uno.standard_error,
        },
    }  # fmt: skip


def _cox_numbers(fit: CoxFit) -> dict[str, Any]:
    agreement = concordance(_back(fit, fit.sets.time), _back(fit, fit.sets.event), fit.linear_predictor)
    hr, lower, upper = fit.hazard_ratios().T
    return {
        "n": fit.n, "events": fit.events, "coef": fit.coefficients, "se": fit.standard_errors,
        "hr": hr, "hr_lower95": lower, "hr_upper95": upper, "p": fit.p,
        "loglik": [fit.null_log_likelihood, fit.log_likelihood],
        "lrt": _test(fit.likelihood_ratio_test), "wald": _test(fit.wald_test), "score": _test(fit.score_test),
        "concordance": agreement.value, "concordance_se": agreement.standard_error,
    }  # fmt: skip


def _back(fit: CoxFit, values: np.ndarray) -> np.ndarray:
    out = np.empty_like(values)
    out[fit.sets.order] = values
    return out


def _test(test: Test) -> list[float]:
    return [test.chisq, test.df, test.p]


def _curves(d: pl.DataFrame) -> dict[str, Any]:
    time, event, group = (d[name].to_numpy() for name in ("RFS", "Recurrence", "Vascularinvasion"))
    marks = [12, 24, 36]
    curves = [product_limit(time[group == g], event[group == g]) for g in (0, 1)]
    medians = [curve.quantile() for curve in curves]
    places = [np.searchsorted(curve.times, marks, side="right") - 1 for curve in curves]

    def at(values: list[np.ndarray]) -> np.ndarray:
        return np.concatenate([value[place] for value, place in zip(values, places, strict=True)])

    test = logrank_table(time, event, group)
    return {
        "km": {
            "n": [curve.at_risk[0] for curve in curves],
            "median": [median[0] for median in medians],
            "median_lower95": [median[1] for median in medians],
            "median_upper95": [median[2] for median in medians],
            "times": marks * 2,
            "survival": at([curve.survival for curve in curves]),
            "std_err": at([curve.standard_errors for curve in curves]),
            "lower95": at([curve.limits()[0] for curve in curves]),
            "upper95": at([curve.limits()[1] for curve in curves]),
            "at_risk": np.concatenate([curve.risk_at(marks) for curve in curves]),
        },
        "logrank": {
            "chisq": test.test.chisq, "p": test.test.p, "observed": test.observed, "expected": test.expected,
        },
        "reverse_km_median_followup": follow_up(time, event).value,
    }  # fmt: skip


def _horizon(d: pl.DataFrame) -> dict[str, Any]:
    early = pl.col("RFS") <= 12
    label = pl.when(early & (pl.col("Recurrence") == 1)).then(1).when(pl.col("RFS") >= 12).then(0)
    labelled = d.with_columns(y=label)
    e = labelled.drop_nulls("y")
    y = e["y"].to_numpy()
    fit: LogisticFit = logistic(e[CLINICAL].to_numpy(), y, CLINICAL)
    risk = fit.predict(e[CLINICAL].to_numpy())
    size, invasion = e["Tumorsize"].to_numpy(), e["Vascularinvasion"].to_numpy()
    test = paired_delong(y, risk, size)
    rescaled = calibration(y, expit(0.3 + 0.6 * logit(risk)))
    return {
        "endpoint_12m": {"n": len(y), "events": y.sum(), "excluded": labelled["y"].null_count()},
        "logistic_12m": {
            "n": fit.n, "coef": fit.coefficients, "se": fit.standard_errors, "p": fit.p,
            "loglik": fit.log_likelihood, "aic": fit.aic,
        },
        "roc_12m": {
            "n": len(y), **_auc("logistic", auroc(y, risk)), **_auc("tumorsize", auroc(y, size)),
            **_auc("vascularinvasion", auroc(y, invasion)),
            "delong_logistic_vs_tumorsize": {"z": test.z, "p": test.p},
        },
        "calibration_12m_apparent": {
            "C (ROC)": auroc(y, risk).value, "Brier": brier_score(y, risk).value,
            **_calibration(calibration(y, risk)),
        },
        "calibration_12m": {**_calibration(rescaled), "citl": rescaled.in_the_large.value},
    }  # fmt: skip


def _auc(name: str, found: Estimate) -> dict[str, Any]:
    return {f"auc_{name}": found.value, f"auc_{name}_ci_delong": [found.lower, found.value, found.upper]}


def _calibration(found: Any) -> dict[str, Any]:
    return {
        "Intercept": found.intercept.value, "Slope": found.slope.value,
        "Emax": found.max_error, "E90": found.p90_error, "Eavg": found.mean_error,
    }  # fmt: skip


def _time_dependent(d: pl.DataFrame) -> dict[str, Any]:
    time, event = d["RFS"].to_numpy(), d["Recurrence"].to_numpy()
    covariates = {"cox": d[FULL].to_numpy(), "age": d["Age"].to_numpy()}
    scores = _scores(time, event, covariates, [12, 24])
    contrasts = []
    for judged in scores.pop("judged"):
        found, p = judgement_difference(judged["cox"], judged["age"])
        contrasts.append(
            {"times": judged["times"], "delta.AUC": found.value, "se": found.standard_error, "lower": found.lower,
             "upper": found.upper, "p": p}
        )  # fmt: skip
    return {"time_dependent": {**scores, "auc_contrasts": contrasts}}


def _scores(
    time: np.ndarray, event: np.ndarray, covariates: dict[str, np.ndarray], horizons: list[float]
) -> dict[str, Any]:
    """AUC and Brier scores of Cox models in the order of R's table, and the judgements behind the AUCs."""
    at = {when: Horizon(time, event, when) for when in horizons}
    fits = {name: cox_model(time, event, x) for name, x in covariates.items()}
    risks = {
        (name, when): predicted_risk(fit, fit.x, [when])[:, 0] for name, fit in fits.items() for when in horizons
    }
    auc = {key: auc_at(at[key[1]], risk) for key, risk in risks.items()}
    null = {("null", when): null_risk(at[when]) for when in horizons}
    brier = {key: brier_at(at[key[1]], risk) for key, risk in {**null, **risks}.items()}
    return {
        "auc": [_scored("AUC", key[1], found.estimate) for key, found in auc.items()],
        "brier": [_scored("Brier", key[1], found.estimate) for key, found in brier.items()],
        "judged": [{"times": when, **{name: auc[name, when] for name in covariates}} for when in horizons],
    }


def _scored(name: str, when: float, found: Estimate) -> dict[str, Any]:
    return {
        "times": when, name: found.value, "se": found.standard_error, "lower": found.lower, "upper": found.upper,
    }  # fmt: skip


def _tcga(data: Path) -> dict[str, Any]:
    frame = pl.read_csv(data / "tcga_lihc" / "derived" / "tcga_cdr_lihc.csv", null_values=MISSING)
    kept = frame.drop_nulls(["PFI", "PFI.time"]).filter(pl.col("PFI.time") > 0)
    time, event = kept["PFI.time"].to_numpy(), kept["PFI"].to_numpy()
    age = kept["age_at_initial_pathologic_diagnosis"].cast(pl.Float64).to_numpy()
    uno = concordance(time, event, cox_model(time, event, age).linear_predictor, weights="uno")
    scores = _scores(time, event, {"age": age}, [365, 730])
    return {
        "tcga_pfi": {
            "n": len(time), "events": event.sum(), "uno": uno.value, "uno_se": uno.standard_error,
            "auc": scores["auc"], "brier": scores["brier"],
        }
    }  # fmt: skip

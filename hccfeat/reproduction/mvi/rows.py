"""Tables of scores: methods as rows, in points of a hundred as the paper prints them."""

from collections.abc import Sequence
from typing import Any

from hccfeat.analysis.judges import NOT_RUN
from hccfeat.config import GRADES
from hccfeat.report.formatting import MISSING, fixed, interval, p_value
from hccfeat.report.tables import Column
from hccfeat.reproduction.blocks import Table
from hccfeat.reproduction.judged import signed
from hccfeat.reproduction.mvi.context import MviContext
from hccfeat.reproduction.mvi.scores import AUC, METRICS, Comparison, Metric, Scores, grade_metric
from hccfeat.reproduction.printed import difference, printed
from hccfeat.stats.paired_folds import FoldTest
from hccfeat.training.mri_methods import OURS

ENDPOINT = "mvi_grade"
SPLIT = "cross_validation"
TABLE1 = ("Concat", "3DCNN", "LSTM", "M2Net", "Concat_2S", "KD_ours", "SP_ours", OURS)
TABLE2 = ("S-pre", "S-hbp", "S-pre-hbp", "ours-w/o-hbp", "ours-w/o-pre", "ours-w/o-CA", OURS)
NAMES = {
    "clinical_logistic": "items alone, logistic regression",
    "clinical_xgboost": "items alone, xgboost",
    "ours-w/o-class-KL": "ours without the class-level KL",
    "ours-w/o-feature-KL": "ours without the feature-level KL",
}


def method_name(method: str) -> str:
    """Name of a method in tables; the data files keep its own."""
    return NAMES.get(method, method)


def printed_score(method: str, key: str) -> float | None:
    """A printed score as a share of one, its spread too; None where the paper prints none."""
    for place in ("table1", "table2"):
        value = printed(place, method, key, paper="mvi")
        if value is not None:
            return float(value) if key == "p" else round(float(value) / 100, 6)
    return None


def points(value: float | None, decimals: int = 2) -> str:
    """A share as points of a hundred."""
    return fixed(None if value is None else 100 * value, decimals)


def spread(mean: float | None, sd: float | None) -> str:
    """Mean and SD as the paper prints them."""
    return points(mean) if sd is None else f"{points(mean)} ± {points(sd)}"


def identity(context: MviContext, method: str, metric: str) -> dict[str, Any]:
    """First columns of a row of a data file, and of the catalog."""
    return {
        "endpoint": ENDPOINT, "cohort": context.cohort.name, "split": SPLIT, "model": method, "metric": metric
    }  # fmt: skip


def compact_table(context: MviContext, methods: Sequence[str], caption: str) -> Table:
    """One row per method as the paper prints it: mean and SD of three scores, P of the AUC against ours."""
    scores = context.scores
    rows = []
    for method in methods:
        row = {"method": method_name(method)}
        for metric in METRICS:
            found = scores.summary(method, metric) if method in scores else None
            row[metric.key] = NOT_RUN if found is None else spread(found.mean, found.sd)
            ours = printed_score(method, metric.key), printed_score(method, f"{metric.key}_spread")
            row[f"printed_{metric.key}"] = spread(*ours)
        row["p"] = p_value(_p_against_ours(scores, method))
        row["printed_p"] = _small(printed_score(method, "p"))
        rows.append(row)
    columns = [Column("method", "Method")]
    for metric in METRICS:
        about = f"{metric.label}, mean ± SD over the folds, points of a hundred"
        columns += [
            Column(metric.key, metric.short, "right", about),
            Column(
                f"printed_{metric.key}", "printed", "right", f"{metric.short}; the paper calls its spread variance"
            ),
        ]
    columns += [
        Column("p", "P", "right", "of the AUC against ours: paired t test on the folds"),
        Column("printed_p", "printed", "right", "P"),
    ]
    known_p = any(row["printed_p"] != MISSING for row in rows)
    return Table(columns if known_p else columns[:-1], rows, caption)


def detail_table(context: MviContext, methods: Sequence[str], caption: str) -> Table:
    """One row per method and metric: mean, SD, variance, interval, n, and how far from the printed value."""
    rows, data = [], []
    for method in (method for method in methods if method in context.scores):
        for metric in METRICS:
            found = score_data(context, method, metric)
            rows.append(
                {
                    "group": method_name(method),
                    "metric": metric.short,
                    "mean": spread(found["estimate"], found["sd"]),
                    "variance": fixed(None if found["variance"] is None else 1e4 * found["variance"], 2),
                    "limits": _limits(found["lower"], found["upper"]),
                    "n": f"{found['n']:,} ({found['events']:,})",
                    "printed": spread(found["printed"], found["printed_spread"]),
                    "difference": signed(_hundred(found["difference"]), 2),
                }
            )
            data.append(found)
    columns = [
        Column("metric", "Score"),
        Column("mean", "Mean ± SD", "right", "over the folds, points of a hundred; SD with divisor folds - 1"),
        Column("variance", "Variance", "right", "the square of that SD"),
        Column("limits", "95 % interval", "right", "of the mean: bootstrap of patients within fold and grade"),
        Column("n", "n (events)", "right", "events: with microvascular invasion"),
        Column("printed", "Printed", "right"),
        Column("difference", "Difference", "right", "ours minus printed"),
    ]
    return Table(columns, rows, caption, group="group", data=data)


def grade_table(context: MviContext, caption: str) -> Table:
    """One row per method: AUC of each grade against the others."""
    rows, data = [], []
    for method in context.scores.probabilities:
        row = {"method": method_name(method)}
        for grade, name in enumerate(GRADES):
            found = score_data(context, method, grade_metric(grade))
            row[name] = spread(found["estimate"], found["sd"])
            row[f"{name}_limits"] = _limits(found["lower"], found["upper"])
            data.append(found)
        rows.append(row)
    columns = [Column("method", "Method")]
    for grade, name in enumerate(GRADES):
        n = context.scores.events(grade_metric(grade))
        columns += [
            Column(name, f"{name} (n = {n})", "right", "mean ± SD over the folds, points of a hundred"),
            Column(f"{name}_limits", "95 % interval", "right"),
        ]
    return Table(columns, rows, caption, data=data)


def score_data(context: MviContext, method: str, metric: Metric) -> dict[str, Any]:
    """Row of a data file and of the catalog about one score of one method."""
    found, estimate = context.scores.summary(method, metric), context.scores.estimate(method, metric)
    known, known_spread = printed_score(method, metric.key), printed_score(method, f"{metric.key}_spread")
    return (
        identity(context, method, metric.name)
        | {"estimate": found.mean, "lower": estimate.lower, "upper": estimate.upper}
        | {"n": estimate.n, "events": estimate.events, "sd": found.sd, "variance": found.variance}
        | {f"fold{fold}": value for fold, value in enumerate(found.values, start=1)}
        | {"printed": known, "printed_spread": known_spread, "difference": difference(found.mean, known)}
        | {"method": estimate.method}
    )


def comparison_table(
    context: MviContext, pairs: Sequence[tuple[str, str]], caption: str, metrics: Sequence[Metric] = (AUC,)
) -> Table:
    """First minus second method of each pair, one row per pair and metric, with three P values."""
    scores = context.scores
    rows, data = [], []
    for metric in metrics:
        for first, second in pairs:
            if first not in scores or second not in scores:
                continue
            found = scores.compare(first, second, metric)
            known = difference(printed_score(first, metric.key), printed_score(second, metric.key))
            known_p = printed_score(second, "p") if (first, metric.key) == (OURS, "auc") else None
            rows.append(
                {"group": metric.short, "pair": f"{first} − {second}"} | _comparison_cells(found, known, known_p)
            )
            data.append(
                identity(context, f"{first} minus {second}", f"{metric.name}_difference")
                | _comparison_data(found)
                | {"printed": known, "printed_p": known_p, "method": found.difference.estimate.method}
            )
    columns = [
        Column("pair", "Difference"),
        Column("value", "Points (95 % interval)", "right", "mean over the folds; patients resampled together"),
        Column("bootstrap", "Bootstrap P", "right", "share of resamples beyond 0, two-sided"),
        Column("t", "Paired t P", "right", "on the folds, df = folds - 1; takes folds for independent"),
        Column("corrected", "Nadeau-Bengio P", "right", "the same with variance 1/k + n_test/n_train"),
        Column("printed", "Printed difference", "right"),
        Column("printed_p", "Printed P", "right"),
    ]
    return Table(columns, rows, caption, group="group" if len(metrics) > 1 else None, data=data)


def against_ours(methods: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of ours with each other method."""
    return [(OURS, method) for method in methods if method != OURS]


def difference_text(found: Comparison) -> str:
    """A difference in points with its interval."""
    estimate = found.difference.estimate
    if estimate.value is None:
        return MISSING
    limits = _limits(estimate.lower, estimate.upper)
    return signed(_hundred(estimate.value), 2) + (f" ({limits})" if limits else "")


def _comparison_cells(found: Comparison, known: float | None, known_p: float | None) -> dict[str, str]:
    return {
        "value": difference_text(found),
        "bootstrap": p_value(found.difference.p),
        "t": _tested(found.t),
        "corrected": _tested(found.corrected),
        "printed": signed(_hundred(known), 2),
        "printed_p": _small(known_p),
    }


def _comparison_data(found: Comparison) -> dict[str, Any]:
    estimate = found.difference.estimate
    return {
        "estimate": estimate.value,
        "lower": estimate.lower,
        "upper": estimate.upper,
        "n": estimate.n,
        "events": estimate.events,
        "bootstrap_p": found.difference.p,
        "t": found.t.t,
        "df": found.t.df,
        "t_p": found.t.p,
        "corrected_t": found.corrected.t,
        "corrected_p": found.corrected.p,
        "reason": found.t.reason,
    }


def _tested(test: FoldTest) -> str:
    return test.reason if test.p is None else p_value(test.p)


def _p_against_ours(scores: Scores, method: str) -> float | None:
    if method == OURS or method not in scores or OURS not in scores:
        return None
    return scores.compare(OURS, method, AUC).t.p


def _limits(lower: float | None, upper: float | None) -> str:
    return interval(_hundred(lower), _hundred(upper), 2)


def _hundred(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _small(p: float | None) -> str:
    return MISSING if p is None else f"{p:.2e}" if p < 0.001 else f"{p:.3g}"

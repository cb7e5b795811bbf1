"""Rows of the machine-readable twin: what each file of ``data/`` holds of one endpoint, at full precision."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hccfeat.analysis.results import EndpointResult, GroupComparison, ModelComparison, SurvivalCurve
from hccfeat.report.csv_files import Row

EVERYBODY = "everybody"
"""In the column ``model``: a curve of all patients of a cohort and split, not of one model's groups."""
ARMS = "treatment"
"""There too: a curve of treated or untreated patients."""


def all_comparisons(result: EndpointResult) -> list[ModelComparison]:
    """Differences between models, those of the modalities last."""
    return [*result.comparisons, *(row for found in result.modalities for row in found.differences)]


def _modalities(result: EndpointResult) -> Iterator[Row]:
    """Scores of the models of each modality, and their paired differences (``against`` names the other model)."""
    for found in result.modalities:
        place = (found.cohort, found.split)
        fitted = (found.trained, found.trained_events, found.left_out)
        for m in found.metrics:
            yield (
                *(*place, m.model, found.labels[m.model], None, m.metric, m.estimate, m.lower, m.upper),
                *(None, None, m.n, m.events, *fitted, m.method),
            )
        for g in found.gaps:
            yield (
                *(*place, g.model, found.labels[g.model], g.against, "auroc_difference", g.estimate),
                *(g.lower, g.upper, g.p, g.p_holm, g.n, g.events, *fitted, g.method),
            )


def _survival(
    result: EndpointResult,
) -> Iterator[tuple[tuple[Any, ...], GroupComparison | None, int, SurvivalCurve]]:
    """Every Kaplan-Meier curve with its key (cohort, split, model, group), of everybody first."""
    for found in result.survival:
        yield (found.cohort, found.split, EVERYBODY, found.curve.label), None, 0, found.curve
    for group in result.groups:
        for i, curve in enumerate(group.curves):
            yield (group.cohort, group.split, group.model, curve.label), group, i, curve
    arms = None if result.treatment is None else result.treatment.arms.curves
    if result.treatment is not None and arms is not None:
        for i, curve in enumerate(arms.curves):
            yield (result.treatment.cohort, arms.split, ARMS, curve.label), arms, i, curve


def _curves(result: EndpointResult) -> Iterator[Row]:
    for key, _, _, curve in _survival(result):
        unknown = [None] * len(curve.times)
        counts = [unknown if a is None else a for a in (curve.step_at_risk, curve.step_events)]
        for values in zip(curve.times, curve.survival, curve.lower, curve.upper, *counts, strict=True):
            yield (*key, *values)


def _groups(result: EndpointResult) -> Iterator[Row]:
    followed = {(s.cohort, s.split): s for s in result.survival}
    for key, group, i, curve in _survival(result):
        size = (curve.n, curve.events, curve.median, curve.median_lower, curve.median_upper)
        mean = (curve.restricted_mean, curve.restricted_lower, curve.restricted_upper, curve.restricted_to)
        if group is None:
            own = followed[key[0], key[1]]
            yield (
                *key,
                *size,
                *mean,
                own.follow_up,
                own.follow_up_lower,
                own.follow_up_upper,
                *[None] * 5,
                own.note,
            )
            continue
        expected = group.expected[i] if i < len(group.expected) else None
        yield (
            *(*key, *size, *mean, curve.follow_up, None, None),
            *(group.cut, expected, group.test, group.logrank_chisq, group.logrank_p, group.note),
        )


def _at_risk(result: EndpointResult) -> Iterator[Row]:
    for key, _, _, curve in _survival(result):
        for values in zip(curve.risk_times, curve.at_risk, strict=True):
            yield (*key, *values)


def _roc(result: EndpointResult) -> Iterator[Row]:
    for roc in result.rocs:
        for values in zip(roc.false_positive_rate, roc.true_positive_rate, strict=True):
            yield (roc.cohort, roc.split, roc.model, *values)


def _logistic(result: EndpointResult) -> Iterator[Row]:
    for fit, terms in result.logistic.items():
        for t in terms:
            numbers = (t.coefficient, t.standard_error, t.odds_ratio, t.lower, t.upper, t.p)
            yield (fit, t.term, *numbers, t.method)


def _calibration(result: EndpointResult) -> Iterator[Row]:
    for c in result.calibrations:
        for values in zip(c.predicted, c.observed, c.lower, c.upper, strict=True):
            yield (c.cohort, c.split, c.model, c.months, *values, c.n, c.events, c.method)


def _decision(result: EndpointResult) -> Iterator[Row]:
    for d in result.decisions:
        for values in zip(d.thresholds, d.net_benefit, strict=True):
            yield (d.cohort, d.split, d.model, d.months, *values, d.n, d.events, d.method)


def _distributions(result: EndpointResult) -> Iterator[Row]:
    for d in result.distributions:
        for values in zip(d.edges[:-1], d.edges[1:], d.with_event, d.without_event, strict=True):
            yield (d.cohort, d.split, d.model, *values)


def _proportionality(result: EndpointResult) -> Iterator[Row]:
    for t in result.proportionality:
        yield (t.cohort, t.split, t.model, t.term, t.chisq, t.df, t.p, t.transform, t.events)


def _tests(result: EndpointResult) -> Iterator[Row]:
    for t in result.tests:
        yield (t.cohort, t.split, t.model, t.test, t.chisq, t.df, t.p, t.n, t.events, t.method)


def _subgroups(result: EndpointResult) -> Iterator[Row]:
    for g in result.subgroups:
        numbers = (g.estimate, g.lower, g.upper, g.n, g.events, g.method)
        yield (g.cohort, g.split, g.model, g.item, g.level, g.metric, *numbers)


def _incidence(result: EndpointResult) -> Iterator[Row]:
    for c in result.incidences:
        for values in zip(c.times, c.incidence, c.lower, c.upper, strict=True):
            yield (c.cohort, c.split, c.model, c.label, c.cause, *values, c.n, c.events, c.method)


def _treatment(result: EndpointResult) -> Iterator[Row]:
    """Terms and tests of the interaction, absolute benefits and balance; one number with its limits per row."""
    found = result.treatment
    if found is None:
        return
    place = (found.cohort, found.model)
    for one in found.interactions:
        size = (sum(one.n), sum(one.events))
        for term in one.larger.terms:
            ratio = (term.hr, term.lower, term.upper, term.p)
            yield (*place, "hazard ratio", one.name, term.term, None, *ratio, *size, "")
        yield (*place, "interaction", one.name, "", None, one.chisq, None, None, one.p, *size, one.note)
    for benefit in found.benefits:
        gain = benefit.difference
        size = (sum(gain.n), sum(gain.events))
        for arm, share in zip(("untreated", "treated"), gain.survival, strict=True):
            alone = (share, None, None, None)
            yield (*place, "event-free", benefit.group, arm, gain.horizon, *alone, *size, gain.reason)
        difference = (gain.value, gain.lower, gain.upper, None)
        yield (*place, "benefit", benefit.group, "", gain.horizon, *difference, *size, gain.reason)
    for b in found.balance:
        d = b.difference
        for arm, mean in (("untreated", b.untreated), ("treated", b.treated)):
            yield (*place, "mean or share", b.covariate, arm, None, mean, None, None, None, sum(d.n), None, "")
        limits = (d.value, d.lower, d.upper, None)
        yield (*place, "standardised difference", b.covariate, "", None, *limits, sum(d.n), None, d.reason)
    what = "patients by chance of treatment"
    edges = found.overlap.edges
    for lower, upper, *counts in zip(
        edges, edges[1:], found.overlap.untreated, found.overlap.treated, strict=False
    ):
        for arm, n in zip(("untreated", "treated"), counts, strict=True):
            yield (*place, what, f"{lower:g} to {upper:g}", arm, None, n, *[None] * 5, "")
    area, method = found.overlap.auroc, found.overlap.method
    numbers = (area.value, area.lower, area.upper, None, area.n, area.events)
    yield (*place, "overlap: AUROC of treatment", method, "", None, *numbers, area.method)
    for arm, n in zip(("untreated", "treated"), found.overlap.outside, strict=True):
        yield (*place, "patients beyond the other arm's chances", method, arm, None, n, *[None] * 5, "")


def _notices(result: EndpointResult) -> Iterator[Row]:
    for n in result.notices:
        yield (n.level, n.kind, n.title, n.text)


_PLACE = ("cohort", "split", "model")
_SIZE = ("n", "events", "method")
_RANGE = ("lower", "upper")
ENDPOINT_TABLES: Mapping[str, tuple[tuple[str, ...], Callable[[EndpointResult], Iterator[Row]]]] = {
    "modalities.csv": (
        (
            *(*_PLACE, "reads", "against", "metric", "estimate", *_RANGE, "p", "p_holm", "n", "events", "trained"),
            *("trained_events", "left_out", "method"),
        ),
        _modalities,
    ),
    "subgroups.csv": ((*_PLACE, "item", "level", "metric", "estimate", *_RANGE, *_SIZE), _subgroups),
    "curves.csv": ((*_PLACE, "group", "time_months", "survival", *_RANGE, "at_risk", "events"), _curves),
    "groups.csv": (
        (
            *(*_PLACE, "group", "n", "events", "median_months", "median_lower", "median_upper"),
            *("restricted_mean", "restricted_lower", "restricted_upper", "restricted_to"),
            *("follow_up", "follow_up_lower", "follow_up_upper"),
            *("cut", "expected", "test", "logrank_chisq", "logrank_p", "note"),
        ),
        _groups,
    ),
    "at_risk.csv": ((*_PLACE, "group", "time_months", "at_risk"), _at_risk),
    "roc.csv": ((*_PLACE, "false_positive_rate", "true_positive_rate"), _roc),
    "calibration_curves.csv": ((*_PLACE, "months", "predicted", "observed", *_RANGE, *_SIZE), _calibration),
    "decision_curves.csv": ((*_PLACE, "months", "threshold", "net_benefit", *_SIZE), _decision),
    "risk_distributions.csv": ((*_PLACE, "risk_from", "risk_to", "with_event", "without_event"), _distributions),
    "proportional_hazards.csv": ((*_PLACE, "term", "chisq", "df", "p", "transform", "events"), _proportionality),
    "model_tests.csv": ((*_PLACE, "test", "chisq", "df", "p", *_SIZE), _tests),
    "incidence.csv": ((*_PLACE, "group", "cause", "time_months", "incidence", *_RANGE, *_SIZE), _incidence),
    "logistic.csv": (
        ("fit", "term", "coefficient", "standard_error", "odds_ratio", *_RANGE, "p", "method"),
        _logistic,
    ),
    "treatment.csv": (
        ("cohort", "model", "what", "of", "part", "months", "value", *_RANGE, "p", "n", "events", "note"),
        _treatment,
    ),
    "notices.csv": (("level", "kind", "title", "text"), _notices),
}
"""File name -> its columns after ``endpoint``, and the rows of one endpoint."""

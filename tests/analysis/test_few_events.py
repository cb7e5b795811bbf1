"""With fewer than five events in all there are curves and descriptions, and no P anywhere in a result or a page."""

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from hccfeat.analysis.comparators import ComparatorOptions
from hccfeat.analysis.comparisons import add_comparisons
from hccfeat.analysis.data import EndpointData
from hccfeat.analysis.recurrence import analyse
from hccfeat.analysis.results import EndpointResult
from hccfeat.config import AnalysisConfig
from hccfeat.report.html import render
from hccfeat.report.twin import twin_files
from tests.analysis.conftest import Quick, make_study
from tests.analysis.described_study import described
from tests.report.sample import clinical_report

SETTINGS = AnalysisConfig(bootstraps=100, imputations=2, repeats=1, optimism=20)


def with_events(data: EndpointData, kept: int, role: str) -> EndpointData:
    """The same patients, of whom some of a role have the event by the horizon; the others do not have it at all."""
    of_role = data.patients.filter((pl.col("role") == role) & ~pl.col("treated") & (pl.col("y") == 1))
    calm = pl.col("patient_id").is_in(of_role["patient_id"][kept:].to_list())
    changes = {name: pl.when(calm).then(False).otherwise(name) for name in ("event", "recurred", "died")}
    columns = [change.alias(name) for name, change in changes.items() if name in data.patients.columns]
    label = pl.when(calm).then(0).otherwise("y").cast(pl.Int8).alias("y")
    return replace(data, patients=data.patients.with_columns(*columns, label))


def p_values(result: EndpointResult, split: str) -> Iterator[tuple[str, float | None]]:
    """Every P about the patients of a split, with what it is of."""
    for group in result.groups:
        if group.split == split:
            yield f"log-rank of {group.model}", group.logrank_p
    for name in ("tests", "comparisons", "proportionality"):
        for row in getattr(result, name):
            if row.split == split:
                yield name, row.p
    for ratio in result.hazard_ratios:
        if ("apparent" in ratio.kind) == (split == "apparent") and ratio.cohort != "external":
            yield f"{ratio.kind} of {ratio.term}", ratio.p
    if split == "apparent":
        for fit, terms in result.logistic.items():
            yield from ((f"{fit}: {term.term}", term.p) for term in terms)


@pytest.mark.parametrize("events", [4, 5])
def test_held_out_patients_with_few_events_have_no_p(events: int) -> None:
    data = make_study(train=100, held_out=60, external=0, treated=0.0)
    data = with_events(data, events, "held_out")
    result = analyse(data, SETTINGS, fit_images=Quick, comparators=ComparatorOptions(("cox",)))
    add_comparisons(result, data, SETTINGS)
    found = list(p_values(result, "held_out"))
    known = {what for what, p in found if p is not None}
    assert {"comparisons", "log-rank of pps_mlp", "univariable of alt"} <= {what for what, _ in found}
    assert all(len(group.curves) for group in result.groups)
    kinds = {notice.kind for notice in result.notices if "held-out" in notice.text}
    if events < 5:
        assert known == set()
        assert "few_events" in kinds
        delong = [row for row in result.comparisons if row.metric == "auroc" and row.first == "pps_mlp"]
        assert delong
        assert all("no P: only 4 events (fewer than 5)" in row.method for row in delong)
    else:
        assert {"comparisons", "log-rank of pps_mlp"} <= known


@pytest.mark.parametrize("timed", [True, False])
def test_a_described_cohort_with_few_events_has_no_p(timed: bool) -> None:
    """Neither in its tables nor in its page, which shows the reason in colour."""
    data = with_events(described(n=80, horizon=None, timed=timed, missing=0.2), 4, "all")
    result = analyse(data, SETTINGS)
    assert [(what, p) for what, p in p_values(result, "apparent") if p is not None] == []
    assert result.logistic == {}
    assert (len(result.survival) == 1) == timed
    about = [notice for notice in result.notices if notice.kind == "few_events"]
    assert any("have 4 events" in notice.text for notice in about)
    assert any("logistic regression" in notice.text for notice in about)
    assert result.metrics == []
    assert {n.kind for n in result.notices if n.title.startswith("No clinical model")} == {"few_events"}
    report = replace(clinical_report(), endpoints=[result])
    page = render(report, twin_files(report))
    assert re.search(r">P (= |&lt; )?0\.\d|, P (= |&lt; )?0\.\d", page) is None
    assert '<span class="chip caution">Caution</span>' in page
    assert "Too few events" in page


def test_a_described_cohort_has_the_guards_of_training_and_judging_patients() -> None:
    data = described(n=80, horizon=12.0, missing=0.0)
    # Nobody is followed to the horizon any longer: late patients are lost at 11 months.
    late = pl.col("months") > 11
    cut = data.patients.with_columns(
        months=pl.when(late).then(11.0).otherwise("months"),
        recurred=pl.when(late).then(False).otherwise("recurred"),
        event=pl.when(late).then(False).otherwise("event"),
        time=pl.when(late).then(11.0).otherwise("time"),
    )
    flat = data.indicators.with_columns(hbsag=pl.lit(1.0))
    wide = flat.with_columns(
        afp=pl.when(pl.int_range(pl.len()) % 3 == 0).then(None).otherwise("afp"),
        **{f"noise{k}": pl.Series(np.random.default_rng(k).normal(size=80)) for k in range(4)},
    )
    names = [*data.indicator_names, *(f"noise{k}" for k in range(4))]
    result = analyse(replace(data, patients=cut, indicators=wide, indicator_names=names), SETTINGS)
    kinds = [notice.kind for notice in result.notices]
    assert {"beyond_follow_up", "collinear", "missingness", "too_many_parameters"} <= set(kinds)
    assert sum(notice.title == "Indicators often missing" for notice in result.notices) == 1

from collections.abc import Callable

import polars as pl
import pytest

from hccfeat.analysis.recurrence import EndpointData, analyse
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError

Study = Callable[..., EndpointData]


def described(study: Study, **changes: object) -> EndpointData:
    """Every patient in role ``all`` of one cohort, no images."""
    data = study(images=False, train=120, held_out=0, external=0, **changes)
    return study(
        images=False, train=120, held_out=0, external=0,
        patients=data.patients.with_columns(role=pl.lit("all")), **changes,
    )  # fmt: skip


def test_all_patients_count_the_treated_too(study: Study, settings: AnalysisConfig) -> None:
    data = described(study)
    assert data.patients["treated"].any()
    result = analyse(data, settings)
    (row,) = result.attrition
    assert row["patients"] == 120
    ages = next(row for row in result.hazard_ratios if row.term == "alt")
    assert ages.n == data.indicators["alt"].count()


def test_complete_cases_are_counted_in_the_method(study: Study, settings: AnalysisConfig) -> None:
    data = described(study)
    result = analyse(data, settings)
    labelled = data.patients.filter(pl.col("y").is_not_null()).join(data.indicators, on="patient_id")
    complete = labelled.drop_nulls(data.indicator_names).height
    auroc = next(row for row in result.metrics if row.metric == "auroc")
    assert (auroc.split, auroc.n) == ("apparent", complete)
    assert f"{labelled.height - complete} labelled patients lack an indicator" in auroc.method
    assert [term.term for term in result.logistic["internal"]] == ["(Intercept)", *data.indicator_names]


def test_separation_gives_a_caution_and_the_hazard_ratios_stay(study: Study, settings: AnalysisConfig) -> None:
    data = described(study)
    perfect = data.indicators.drop("alt").join(
        data.patients.select("patient_id", alt=pl.col("y").cast(pl.Float64)), on="patient_id"
    )
    result = analyse(described(study, indicators=perfect), settings)
    assert result.metrics == []
    assert len(result.hazard_ratios) == 3
    caution = next(notice for notice in result.notices if notice.title.startswith("No clinical model"))
    assert "separate" in caution.text


def test_no_events_is_an_error(study: Study, settings: AnalysisConfig) -> None:
    data = described(study)
    nobody = data.patients.with_columns(event=pl.lit(False), y=pl.lit(0, pl.Int8))
    with pytest.raises(AnalysisError, match="cohort internal: has no events"):
        analyse(study(images=False, train=120, held_out=0, external=0, patients=nobody), settings)

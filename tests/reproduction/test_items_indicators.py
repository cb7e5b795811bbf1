"""Items 25-27 and 43 on a made-up cohort."""

import numpy as np
import polars as pl
import pytest

from hccfeat.errors import AnalysisError
from hccfeat.reproduction.items.indicators import ITEMS
from tests.reproduction.risk_context import RiskContext, built, figures, notes, tables

BY_NUMBER = {item.number: item for item in ITEMS}
SIX = {"hbsag", "alt", "afp", "tumour_size", "bclc", "vascular_invasion"}
PLACES = [("1y", "held_out"), ("2y", "held_out"), ("1y", "external"), ("2y", "external")]


@pytest.fixture(scope="module")
def context() -> RiskContext:
    return RiskContext(train=50, held_out=70, external=50)


def places(data: list[dict]) -> list[tuple[str, str]]:
    key = "split" if "split" in data[0] else "place"
    return list(dict.fromkeys((row["endpoint"], row[key]) for row in data))


def test_the_items_are_these() -> None:
    assert sorted(BY_NUMBER) == [25, 26, 27, 43]


def test_five_folds_of_every_score_and_the_models_trained_elsewhere(context: RiskContext) -> None:
    blocks = built(BY_NUMBER[25], context)
    folds, elsewhere = tables(blocks)
    assert places(folds.data) == places(elsewhere.data) == PLACES
    first = {row["model"]: row for row in folds.data[:9]}
    assert set(first) == SIX | {"clinical_logistic", "integrated_logistic", "pps_mlp"}
    values = [first["pps_mlp"][f"fold_{number}"] for number in range(1, 6)]
    assert first["pps_mlp"]["median_of_folds"] == np.median(values)
    assert (first["pps_mlp"]["printed"], first["alt"]["printed"]) == (0.818, None)
    assert first["pps_mlp"]["pps_ahead"] is None
    assert first["alt"]["pps_ahead_lower"] < first["alt"]["pps_ahead"] < first["alt"]["pps_ahead_upper"]
    assert {row["model"] for row in elsewhere.data} == {"pps_mlp", "clinical_logistic"}
    assert [row["score"] for row in folds.rows[6:9]] == ["Clinical LR", "Integrated LR", "PPS risk"]
    assert len(figures(blocks)) == 4
    assert "fixed before" in notes(blocks)


def test_strata_of_invasion_and_size_in_both_cohorts(context: RiskContext) -> None:
    blocks = built(BY_NUMBER[26], context)
    (shown,) = tables(blocks)
    assert places(shown.data) == PLACES
    assert [row["stratum"] for row in shown.data[:4]] == [
        "Vascular invasion: no", "Vascular invasion: yes", "Tumour size ≤ 5 cm", "Tumour size > 5 cm",
    ]  # fmt: skip
    for lower, upper in ((0, 1), (2, 3)):
        pair = [shown.data[lower], shown.data[upper]]
        assert sum(row["n"] for row in pair) + pair[0]["without_indicator"] == 70
    for row in shown.data:
        assert row["n_low"] + row["n_high"] == row["n"]
        assert (row["logrank_p"] is None) == ("withheld" in row["note"])
    assert len(figures(blocks)) == 8


def test_hazard_ratios_alone_beside_the_paper_and_adjusted(context: RiskContext) -> None:
    blocks = built(BY_NUMBER[27], context)
    alone, tests, terms = tables(blocks)
    assert places(alone.data) == places(tests.data) == PLACES
    printed = {(row["endpoint"], row["place"]): row["printed"] for row in alone.data if row["printed"] is not None}
    assert printed == {("1y", "held_out"): 7.0, ("1y", "external"): 4.51, ("2y", "external"): 4.74}
    assert alone.rows[0]["printed"] == "7.00 (2.07–23.70)"
    assert alone.data[0]["difference"] == pytest.approx(alone.data[0]["hr"] - 7.0)
    assert [row["term"] for row in alone.data[:3]] == [
        "PPS risk, high against low", "PPS risk, per SD", "HBsAg: yes",
    ]  # fmt: skip
    everybody = {"held_out": 70, "external": 50}
    for row in tests.data:
        assert row["events_per_coefficient"] == row["events"] / row["coefficients"]
        if row["added"].endswith(", imputed"):
            assert row["n"] == everybody[row["place"]]
            assert f"20 imputations, {row['incomplete']} of {row['n']} patients with a missing item" in row["note"]
        else:
            assert row["n"] + row["incomplete"] == everybody[row["place"]]
    added = [alone.data[0]["term"], alone.data[1]["term"]]
    assert [row["added"] for row in tests.data[:4]] == [*added, *(f"{name}, imputed" for name in added)]
    assert [row["n"] for row in terms.data if row["form"] == "PPS risk, per SD, imputed"][:7] == [70] * 7
    assert "pooled by Rubin's rules" in notes(blocks)
    assert tests.data[1]["p"] < 0.05
    first = [row for row in terms.data if row["form"] == "PPS risk, per SD"][:7]
    assert first[-1]["term"] == "PPS risk, per SD"
    assert {row["n"] for row in first} == {tests.data[1]["n"]}
    assert "printed" not in terms.data[0]
    assert len(figures(blocks)) == 4


def test_concordance_of_every_score(context: RiskContext) -> None:
    blocks = built(BY_NUMBER[43], context)
    (shown,) = tables(blocks)
    assert places(shown.data) == PLACES
    first = {row["model"]: row for row in shown.data[:8]}
    assert set(first) == SIX | {"pps_mlp", "clinical_logistic"}
    known = [
        row for row in context.result("1y").metrics
        if (row.model, row.metric, row.split) == ("pps_mlp", "c_index", "held_out")
    ]  # fmt: skip
    assert (first["pps_mlp"]["estimate"], first["pps_mlp"]["lower"]) == (known[0].estimate, known[0].lower)
    assert len(figures(blocks)) == 4


def test_without_an_external_cohort_the_held_out_patients_are_shown() -> None:
    alone = RiskContext(None, train=40, held_out=40, external=0)
    for item in ITEMS:
        blocks = built(item, alone, draw=False)
        assert places(tables(blocks)[0].data) == PLACES[:2]
        assert "Ingest one" in notes(blocks)
    nothing = RiskContext(None, lacking=("1y", "2y"), train=30, held_out=20, external=0)
    with pytest.raises(AnalysisError, match="nothing can be shown"):
        built(BY_NUMBER[25], nothing)


def test_a_handful_of_judges_give_reasons_instead_of_numbers() -> None:
    few = RiskContext(train=24, held_out=4, external=3, seed=1)
    for item in ITEMS:
        built(item, few)
    tests = tables(built(BY_NUMBER[27], few, draw=False))[1]
    assert all(row["p"] is None and row["note"] for row in tests.data)


def test_an_indicator_that_nobody_records_is_named() -> None:
    gone = RiskContext(None, train=40, held_out=40, external=0)
    for name, data in gone.inputs.items():
        kept = [column for column in data.indicator_names if column != "alt"]
        frame = data.indicators.drop("alt").with_columns(pl.col("afp").map_elements(lambda _: None, pl.Float64))
        gone.inputs[name] = type(data)(**(vars(data) | {"indicators": frame, "indicator_names": kept}))
    blocks = built(BY_NUMBER[25], gone, draw=False)
    assert "Recorded for too few patients to be compared: ALT." in notes(blocks)
    rows = {row["model"]: row for row in tables(blocks)[0].data[:8]}
    assert rows["afp"]["estimate"] is None
    assert rows["clinical_logistic"]["estimate"] is not None
    remarks = tables(built(BY_NUMBER[27], gone, draw=False))[1].data[0]["note"]
    assert "ALT > 40 U/L, AFP > 20 ng/mL" in remarks

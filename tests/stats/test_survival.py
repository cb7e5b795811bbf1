import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sksurv.metrics import concordance_index_censored

from hccfeat.errors import AnalysisError
from hccfeat.stats import survival
from hccfeat.stats.survival import harrell_c, kaplan_meier, logrank, weighted_harrell


def li2014(real_data: Path) -> pl.DataFrame:
    return pl.read_csv(real_data / "hcc_li2014" / "hepatoCellular.csv")


def test_kaplan_meier_by_hand() -> None:
    # 6 patients: events at 1, 2, 2, 4; censored at 2 and 5. S = 5/6, then 5/6 * 3/5, then 1/2 * 1/2.
    km = kaplan_meier([1, 2, 2, 2, 4, 5], [1, 1, 1, 0, 1, 0], [0, 2, 3, 6])
    assert km.times.tolist() == [0, 1, 2, 4, 5]
    assert km.survival == pytest.approx([1, 5 / 6, 1 / 2, 1 / 4, 1 / 4])
    assert km.at_risk.tolist() == [6, 5, 2, 0]
    assert (km.n, km.events) == (6, 4)
    assert km.median == 3.0  # survival is exactly one half from 2 to 4
    assert np.isfinite(np.concatenate([km.lower, km.upper])).all()
    assert (km.lower <= km.survival).all()
    assert (km.survival <= km.upper).all()


@pytest.mark.parametrize(
    ("event", "median"), [([0, 0, 0], None), ([1, 1, 1], 5.0), ([0, 1, 0], 5.0), ([1, 0, 0], None)]
)
def test_limits_are_numbers_at_both_ends(event: list[int], median: float | None) -> None:
    km = kaplan_meier([3, 5, 9], event, [0, 4])
    assert np.isfinite([*km.lower, *km.upper]).all()
    assert (km.lower[0], km.upper[0]) == (1.0, 1.0)
    assert km.median == median


def test_a_curve_of_nobody_is_refused() -> None:
    with pytest.raises(AnalysisError):
        kaplan_meier([], [], [0])
    with pytest.raises(AnalysisError):
        kaplan_meier([-1, 2], [1, 0], [0])


@pytest.mark.parametrize(
    ("time", "event", "group", "words"),
    [
        ([1, 2, 3, 4], [1, 1, 1, 1], ["a", "a", "b", "b"], "only 4 events"),
        (range(12), [1] * 6 + [0] * 6, ["a"] * 6 + ["b"] * 6, "no events in group b"),
        (range(12), [1] * 12, ["a"] * 12, "two groups"),
    ],
)
def test_logrank_is_withheld_where_it_is_not_to_be_trusted(
    time: list[int], event: list[int], group: list[str], words: str
) -> None:
    found = logrank(list(time), event, group)
    assert (found.chisq, found.p) == (None, None)
    assert words in found.reason


def test_weighted_c_equals_scikit_survival_on_repeated_rows() -> None:
    generator = np.random.default_rng(4)
    time = generator.integers(1, 15, size=40).astype(float)
    event = generator.random(40) < 0.6
    risk = generator.integers(0, 8, size=40).astype(float)
    for _ in range(20):
        weights = generator.integers(0, 3, size=40)
        rows = np.repeat(np.arange(40), weights)
        expected = concordance_index_censored(event[rows], time[rows], risk[rows])[0]
        found = weighted_harrell(time, event, risk)(weights[None].astype(float))[0]
        assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("time", "event", "words"),
    [([1, 2], [0, 0], "no events"), ([2, 2], [1, 1], "comparable"), ([], [], "no events")],
)
def test_c_without_comparable_pairs_has_no_number(time: list[int], event: list[int], words: str) -> None:
    found = harrell_c(time, event, np.arange(len(time)), resamples=100, seed=1)
    assert found.value is None
    assert words in found.method


def test_many_patients_get_the_interval_of_the_influence_function(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(2)
    risk = generator.normal(size=400)
    time, event = generator.exponential(np.exp(-0.7 * risk)), generator.random(400) < 0.7
    resampled = harrell_c(time, event, risk, resamples=1000, seed=1)
    monkeypatch.setattr(survival, "MOST_RESAMPLED", 399)
    found = harrell_c(time, event, risk, resamples=1000, seed=1)
    assert "bootstrap" in resampled.method
    assert "influence function" in found.method
    assert found.value == resampled.value
    assert found.upper - found.lower == pytest.approx(resampled.upper - resampled.lower, rel=0.1)


@pytest.mark.real_data
def test_km_medians_survival_and_logrank_equal_r(real_data: Path, reference: Path) -> None:
    frame, r = li2014(real_data), json.loads((reference / "r_reference.json").read_text())
    group = frame["Vascularinvasion"].to_numpy()
    time, event = frame["RFS"].to_numpy(), frame["Recurrence"].to_numpy()
    for level in (0, 1):
        km = kaplan_meier(time[group == level], event[group == level], [12, 24, 36])
        assert km.median == r["km"]["median"][level]
        assert km.at_risk.tolist() == r["km"]["at_risk"][3 * level : 3 * level + 3]
        at = [km.survival[km.times <= t][-1] for t in (12, 24, 36)]
        assert at == pytest.approx(r["km"]["survival"][3 * level : 3 * level + 3], rel=1e-9)
    test = logrank(time, event, group)
    assert test.chisq == pytest.approx(r["logrank"]["chisq"], rel=1e-8)
    assert test.p == pytest.approx(r["logrank"]["p"], rel=1e-8)


@pytest.mark.real_data
def test_c_and_its_bootstrap_agree_with_r(real_data: Path, reference: Path) -> None:
    frame, r = li2014(real_data), json.loads((reference / "r_reference.json").read_text())["cox_univariable"][4]
    found = harrell_c(frame["RFS"], frame["Recurrence"], frame["BCLC"], resamples=1000, seed=1)
    assert found.value == pytest.approx(r["concordance"], rel=1e-9)
    # The bootstrap interval is as wide as R's normal one (SE by infinitesimal jackknife), within 10 %.
    assert found.upper - found.lower == pytest.approx(2 * 1.96 * r["concordance_se"], rel=0.1)

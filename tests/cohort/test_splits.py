import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hccfeat.cohort.splits import make_split
from hccfeat.config import SplitConfig
from hccfeat.errors import AnalysisError

CONFIG = SplitConfig(test_fraction=0.2, folds=5, seed=2023)


def cohort(n, treated=0.2, recurred=0.5):
    return pl.DataFrame(
        {
            "patient_id": [f"internal/P{i:04d}" for i in range(n)],
            "treatment": ["sorafenib" if i % 10 < 10 * treated else None for i in range(n)],
            "recurrence": [(i * 7 + i // 10) % 10 < 10 * recurred for i in range(n)],
        }
    )


def test_shares_and_strata():
    patients = cohort(366)
    rows = pl.DataFrame(make_split(patients, CONFIG))
    assert rows["patient_id"].to_list() == patients["patient_id"].to_list()
    assert rows.filter(role="test").height == 73
    assert rows.filter(role="test")["fold"].null_count() == 73
    joined = rows.join(patients, on="patient_id")
    shares = joined.group_by("treatment", "recurrence").agg((pl.col("role") == "test").mean())["role"]
    assert shares.min() > 0.17
    assert shares.max() < 0.23
    folds = joined.filter(role="train").group_by("fold").agg(pl.len(), pl.col("recurrence").sum())
    assert folds["fold"].sort().to_list() == [1, 2, 3, 4, 5]
    assert folds["len"].max() - folds["len"].min() <= 1
    assert folds["recurrence"].max() - folds["recurrence"].min() <= 2


def test_the_split_depends_on_the_seed_only():
    patients = cohort(100)
    shuffled = patients.sample(fraction=1.0, shuffle=True, seed=1)
    assert make_split(patients, CONFIG) == make_split(shuffled, CONFIG)
    assert make_split(patients, CONFIG) != make_split(patients, CONFIG.model_copy(update={"seed": 1}))
    assert {row["split"] for row in make_split(patients, CONFIG, name="other")} == {"other"}


def test_an_unknown_outcome_is_a_stratum_of_its_own():
    patients = cohort(50).with_columns(
        pl.when(pl.col("patient_id") < "internal/P0010").then(None).otherwise("recurrence").alias("recurrence")
    )
    rows = make_split(patients, CONFIG)
    assert len(rows) == 50
    assert sum(row["role"] == "test" for row in rows[:10]) == 2


@pytest.mark.parametrize(
    ("patients", "problem"),
    [
        (cohort(100, recurred=0), "same outcome"),
        (cohort(100, recurred=1), "same outcome"),
        (cohort(0), "same outcome"),
        (cohort(5).with_columns(recurrence=pl.Series([True, False, True, False, True])), "too few for 5 folds"),
        (pl.concat([cohort(30), cohort(30)]), "listed twice"),
    ],
)
def test_cohorts_that_cannot_be_split(patients, problem):
    with pytest.raises(AnalysisError, match=problem) as caught:
        make_split(patients, CONFIG)
    assert caught.value.remedy


def by_site(n, sites, seed=0):
    """Sites of unequal size: the k-th is about twice as often as the one after the next."""
    drawn = np.minimum(np.random.default_rng(seed).geometric(0.3, n), sites)
    return cohort(n).with_columns(site=pl.Series([f"S{k}" for k in drawn]))


@settings(max_examples=10)
@given(st.integers(40, 150), st.floats(0.1, 0.5), st.integers(2, 5), st.integers(0, 5))
def test_a_site_is_in_one_part(n, fraction, folds, seed):
    patients = by_site(n, 12, seed)
    config = SplitConfig(test_fraction=fraction, folds=folds, seed=seed)
    if patients["site"].n_unique() <= folds:
        with pytest.raises(AnalysisError, match=f"too few for a test part and {folds} folds of whole sites"):
            make_split(patients, config)
        return
    rows = make_split(patients, config)
    assert make_split(patients.reverse(), config) == rows
    assert [row["patient_id"] for row in rows] == patients["patient_id"].to_list()
    parts = (
        pl.DataFrame(rows)
        .join(patients, on="patient_id")
        .group_by("site")
        .agg(pl.struct("role", "fold").n_unique())
    )
    assert set(parts["role"]) == {1}
    assert {row["fold"] for row in rows} == {None, *range(1, folds + 1)}
    assert all((row["fold"] is None) == (row["role"] == "test") for row in rows)


def test_sites_share_strata_as_well_as_they_can():
    patients = cohort(400).with_columns(site=pl.Series([f"S{k * k % 41 % 37}" for k in range(400)]))
    joined = pl.DataFrame(make_split(patients, CONFIG)).join(patients, on="patient_id")
    held_out = joined.group_by("treatment", "recurrence").agg((pl.col("role") == "test").mean())["role"]
    assert held_out.min() > 0.15
    assert held_out.max() < 0.25
    folds = joined.filter(role="train").group_by("fold").agg(pl.len(), pl.col("recurrence").mean())
    assert folds["len"].min() > 50
    assert folds["len"].max() < 80
    assert folds["recurrence"].max() - folds["recurrence"].min() < 0.2


@settings(max_examples=40)
@given(st.integers(20, 120), st.floats(0.1, 0.5), st.integers(2, 10), st.integers(0, 5))
def test_every_patient_has_one_role_and_every_fold_is_used(n, fraction, folds, seed):
    patients = cohort(n)
    rows = make_split(patients, SplitConfig(test_fraction=fraction, folds=folds, seed=seed))
    assert [row["patient_id"] for row in rows] == patients["patient_id"].to_list()
    assert sum(row["role"] == "test" for row in rows) == round(n * fraction)
    assert {row["fold"] for row in rows if row["role"] == "train"} == set(range(1, folds + 1))
    assert all((row["fold"] is None) == (row["role"] == "test") for row in rows)

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hccfeat.analysis.data import Population
from hccfeat.analysis.indicators import (
    FoldedScore,
    concordances,
    five_fold,
    model_risks,
    out_of_fold,
    stratified_folds,
)
from hccfeat.analysis.prognosis import RatedPatients
from hccfeat.analysis.results import EndpointResult, Prediction
from hccfeat.stats.concordance import concordance
from hccfeat.stats.discrimination import auroc
from tests.analysis.risk_study import SETTINGS, with_indicator


def made(n: int = 150, seed: int = 2, *, noise: float = 0.6) -> RatedPatients:
    """Judges with an informative size, a noisy flag, and a PPS risk that sees the latent variable best."""
    generator = np.random.default_rng(seed)
    latent = generator.normal(size=n)
    time = np.minimum(generator.exponential(14 * np.exp(-1.2 * latent)), 12.0)
    event = (time < 12).astype(float)
    size = latent + generator.normal(0, 1.5, n)
    flag = (generator.random(n) < 0.5).astype(float)
    patients = Population(
        "internal", "held_out", [f"P{k:03d}" for k in range(n)], time, event, event.copy(),
        np.column_stack([size, flag]), ["tumour_size", "hbsag"],
    )  # fmt: skip
    risk = 1 / (1 + np.exp(-latent - generator.normal(0, noise, n)))
    return RatedPatients("1y", "Recurrence within 1 year", patients, risk, 0.5, time, event)


def by_name(scores: list[FoldedScore]) -> dict[str, FoldedScore]:
    return {score.name: score for score in scores}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=80), st.integers(2, 7), st.integers(0, 5))
def test_folds_share_out_every_class_evenly(labels: list[bool], folds: int, seed: int) -> None:
    y = np.array(labels, dtype=float)
    fold = stratified_folds(y, folds, seed)
    assert fold.tolist() == stratified_folds(y, folds, seed).tolist()
    for members in (fold, fold[y == 1], fold[y == 0]):
        sizes = np.bincount(members, minlength=folds)
        assert len(sizes) == folds
        assert sizes.max() - sizes.min() <= 1


def test_folds_follow_the_seed() -> None:
    y = np.arange(60) % 2.0
    assert stratified_folds(y, 5, 1).tolist() != stratified_folds(y, 5, 2).tolist()


def test_every_score_is_in_the_table_and_pps_leads_what_it_was_made_to_lead() -> None:
    judges = made()
    found = by_name(five_fold(judges, SETTINGS))
    assert list(found) == ["tumour_size", "hbsag", "clinical_logistic", "integrated_logistic", "pps_mlp"]
    pps = found["pps_mlp"]
    assert pps.lead is None
    assert pps.pooled.value == auroc(judges.patients.y, judges.risk).value
    assert len(pps.values) == 5
    assert pps.mean.value == pytest.approx(np.mean(pps.values))
    for name, score in found.items():
        if score.lead is not None:
            assert score.lead.value == pytest.approx(pps.pooled.value - score.pooled.value)
        assert sum(fold.n for fold in score.folds) == score.pooled.n == 150, name
    assert found["hbsag"].lead.lower > 0
    assert found["hbsag"].pooled.lower < 0.5 < found["hbsag"].pooled.upper
    assert found["integrated_logistic"].pooled.value > found["clinical_logistic"].pooled.value
    assert "5 fits" in found["clinical_logistic"].pooled.method


def test_the_direction_of_an_indicator_is_fixed_beforehand() -> None:
    judges = made()
    size = judges.patients.indicators[:, 0]
    up = by_name(five_fold(judges, SETTINGS))["tumour_size"].pooled.value
    down = by_name(five_fold(with_indicator(judges, "tumour_size", -size), SETTINGS))["tumour_size"].pooled.value
    assert up > 0.6
    assert down == pytest.approx(1 - up)


def test_nobody_is_judged_by_a_model_that_saw_their_outcome_or_values() -> None:
    patients = made().patients
    fold = stratified_folds(patients.y, 5, 1)
    before = out_of_fold(patients, fold)
    mine = fold == 2
    turned = replace(patients, y=np.where(mine, 1 - patients.y, patients.y))
    after = out_of_fold(turned, fold)
    assert after[mine].tolist() == before[mine].tolist()
    assert (after[~mine] != before[~mine]).all()


def test_missing_values_are_imputed_in_the_models_and_left_out_of_the_indicator() -> None:
    judges = made()
    size = judges.patients.indicators[:, 0].copy()
    size[:30] = np.nan
    found = by_name(five_fold(with_indicator(judges, "tumour_size", size), SETTINGS))
    assert found["tumour_size"].pooled.n == 120
    assert found["tumour_size"].lead.n == 120
    assert found["clinical_logistic"].pooled.n == 150
    lead = auroc(judges.patients.y[30:], judges.risk[30:]).value - found["tumour_size"].pooled.value
    assert found["tumour_size"].lead.value == pytest.approx(lead)


@pytest.mark.parametrize("n", [1, 3, 4, 6])
def test_few_patients_give_reasons_and_no_error(n: int) -> None:
    judges = made().take(np.arange(150) < n)
    for score in five_fold(judges, SETTINGS):
        assert len(score.folds) == 5
        for found in (*score.folds, score.mean, score.pooled):
            assert found.value is not None or "not estimated" in found.method


def test_one_class_and_unrecorded_indicators_give_reasons() -> None:
    judges = made()
    nobody = replace(judges, patients=replace(judges.patients, y=np.zeros(150)))
    assert all(score.pooled.value is None and not score.values for score in five_fold(nobody, SETTINGS))
    empty = with_indicator(with_indicator(judges, "tumour_size", np.full(150, np.nan)), "hbsag", np.ones(150))
    found = by_name(five_fold(empty, SETTINGS))
    assert found["tumour_size"].pooled.n == 0
    assert found["clinical_logistic"].pooled.value is None
    assert found["integrated_logistic"].pooled.value == pytest.approx(found["pps_mlp"].pooled.value, abs=0.05)


def test_concordance_is_harrells_on_those_who_have_the_score() -> None:
    judges = made()
    size = judges.patients.indicators[:, 0].copy()
    size[::4] = np.nan
    judges = with_indicator(judges, "tumour_size", size)
    other = {"clinical_logistic": np.where(np.arange(150) < 20, np.nan, judges.risk)}
    found = {row.name: row for row in concordances(judges, other, SETTINGS)}
    assert list(found) == ["pps_mlp", "tumour_size", "hbsag", "clinical_logistic"]
    keep = ~np.isnan(size)
    time, event = judges.patients.time[keep], judges.patients.event[keep]
    alone = concordance(time, event, size[keep]).estimate()
    assert found["tumour_size"].c_index == alone
    lead = found["tumour_size"].lead
    assert lead.value == pytest.approx(concordance(time, event, judges.risk[keep]).value - alone.value)
    assert lead.lower < lead.value < lead.upper
    same = found["clinical_logistic"].lead
    assert (same.value, same.lower, same.upper, same.n) == (0, None, None, 130)


def test_concordance_without_events_says_so() -> None:
    judges = made(20)
    quiet = replace(judges, patients=replace(judges.patients, event=np.zeros(20)))
    for row in concordances(quiet, {}, SETTINGS):
        assert row.c_index.value is None
        assert row.lead is None or (row.lead.value is None and "comparable" in row.lead.method)


def test_risks_of_other_models_come_in_the_order_of_the_judges() -> None:
    judges = made(4)
    result = EndpointResult("1y", "", 12, "")
    for split, model in (("held_out", "clinical_logistic"), ("apparent", "integrated_logistic")):
        result.predictions += [
            Prediction("1y", "internal", split, model, patient, float(k))
            for k, patient in reversed(list(enumerate(judges.patients.ids[:3])))
        ]
    found = model_risks(judges, result)
    assert list(found) == ["clinical_logistic"]
    assert found["clinical_logistic"][:3].tolist() == [0, 1, 2]
    assert np.isnan(found["clinical_logistic"][3])

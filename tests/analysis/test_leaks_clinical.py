"""Clinical tables: what learns in a fold or a resample reads nobody else, and nobody's outcome fills his gaps."""

from dataclasses import replace

import numpy as np
import pytest

from hccfeat.analysis.clinical_folds import cross_validate
from hccfeat.analysis.clinical_models import fit_regressions
from hccfeat.analysis.data import Population
from hccfeat.analysis.imputed import impute
from hccfeat.analysis.models import FittedModel
from hccfeat.analysis.optimism import corrected_figures
from hccfeat.analysis.recurrence import analyse
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError
from tests.analysis.conftest import Quick, make_study
from tests.analysis.described_study import described, everybody

SETTINGS = AnalysisConfig(bootstraps=100, imputations=3, repeats=2)
Models = tuple[list[FittedModel], dict[str, str]]


@pytest.mark.parametrize("by", ["patient", "site"])
def test_folds_learn_from_other_patients_and_other_sites_alone(by: str) -> None:
    patients = everybody(described(n=80))
    sites = {patient: f"S{k % 9}" for k, patient in enumerate(patients.ids)}
    learned: list[tuple[set[str], set[str]]] = []

    def fit(train: Population, repeat: int) -> Models:
        del repeat
        seen, judged = set(train.ids), set()
        learned.append((seen, judged))

        def predict(asked: Population) -> np.ndarray:
            judged.update(asked.ids)
            return asked.indicators[:, 2]

        return [FittedModel("spy", "an indicator as it is; fitted on nobody", predict)], {}

    chosen = None if by == "patient" else list(sites.values())
    cross_validate(patients, fit, SETTINGS, horizon=12.0, sites=chosen)
    assert len(learned) == 5 * SETTINGS.repeats
    for repeat in range(SETTINGS.repeats):
        others: list[str] = []
        for seen, asked in learned[5 * repeat : 5 * repeat + 5]:
            judges = asked - seen
            assert judges | seen == set(patients.ids)
            assert by == "patient" or not {sites[one] for one in judges} & {sites[one] for one in seen}
            others += judges
        assert sorted(others) == sorted(patients.ids), "everybody judges once in a repeat"


def test_gaps_of_a_judge_are_filled_without_his_outcome_and_without_the_others() -> None:
    patients = everybody(described(n=120, missing=0.4))
    inside = np.arange(120) < 80
    train, judges = patients.take(inside), patients.take(~inside)
    imputed = impute(train, [0, 1, 2], imputations=3, seed=1)
    filled = imputed.of(judges)
    turned = replace(
        judges,
        time=judges.time[::-1].copy(),
        event=1 - judges.event,
        y=1 - judges.y,
        months=judges.months[::-1].copy(),
    )
    assert (imputed.of(turned) == filled).all()
    values = judges.indicators.copy()
    values[1:] = 9 * values[1:] + 5
    assert (imputed.of(replace(judges, indicators=values))[:, 0] == filled[:, 0]).all()
    gaps = np.isnan(judges.indicators)
    assert gaps[0].any() or gaps[1].any()
    assert (filled[:, ~gaps] == judges.indicators[~gaps]).all()


def test_the_training_imputation_does_know_the_outcome() -> None:
    """Without it coefficients would be pulled to zero; it is the judges' that stays out."""
    train = everybody(described(n=80, missing=0.4))
    one = impute(train, [0, 1, 2], imputations=3, seed=1).completed
    other = impute(replace(train, event=1 - train.event), [0, 1, 2], imputations=3, seed=1).completed
    assert (one != other).any()


def test_the_optimism_bootstrap_refits_everything_on_every_resample() -> None:
    patients = everybody(described(n=80))
    fitted = fit_regressions(patients, ("multiple",), horizon=12.0, timed=True, imputations=3, seed=5)[0]
    resamples: list[Population] = []

    def fit(sample: Population) -> list[FittedModel]:
        resamples.append(sample)
        return fit_regressions(sample, ("multiple",), horizon=12.0, timed=True, imputations=3, seed=5)[0]

    settings = SETTINGS.model_copy(update={"optimism": 100})
    found = corrected_figures(patients, fitted, fit, settings, horizon=12.0)
    assert len(resamples) == 100
    assert all(len(sample) == len(patients) for sample in resamples)
    rows = [{tuple(row) for row in sample.indicators.tolist()} for sample in resamples]
    assert len({frozenset(map(str, one)) for one in rows}) == 100
    areas = [one.corrected for one in found if one.metric == "auroc"]
    assert areas
    assert all(one.value < one.apparent for one in areas)


def test_no_optimism_bootstrap_where_an_encoder_is_not_trained_again() -> None:
    data = make_study(train=40, held_out=20, external=0)
    result = analyse(data, SETTINGS, fit_images=Quick)
    assert not [row.metric for row in result.metrics if row.metric.endswith("_corrected")]
    patients = everybody(described(n=40))
    imaged = replace(
        patients, image_vectors=np.zeros((40, 2), dtype=np.float32), image_patient=np.arange(40, dtype=np.int64)
    )
    with pytest.raises(AnalysisError, match="does not train their encoder again"):
        corrected_figures(imaged, [], lambda sample: [], SETTINGS, horizon=12.0)

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from hccfeat.analysis.modalities import compare_modalities, compare_modality_folds
from hccfeat.analysis.modality_models import UNION, ModalityInput
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError, LeakageError
from hccfeat.stats.delong import paired_delong
from tests.analysis.conftest import make_study

SETTINGS = AnalysisConfig(bootstraps=100)
OF_LABEL = {
    "auroc", "brier", "brier_scaled", "calibration_slope", "calibration_intercept", "ici", "e50", "e90",
    "net_benefit",
}  # fmt: skip
WITHOUT_INTERVAL = ("ici", "e50", "e90")
MODELS = ["mri_components", "pps_components", "clinical_components", UNION]


def inputs_of(data, *, seen=(), without=(), strength=(0.5, 1.0, 0.8), seed=0):
    """Three modalities of every patient of a made-up study, told by the time to recurrence."""
    rng = np.random.default_rng(seed)
    ids = data.patients["patient_id"].to_list()
    truth = -np.log(data.patients["time"].fill_null(10.0).to_numpy())
    truth = (truth - truth.mean()) / truth.std()
    found = []
    for name, share in zip(("mri", "pps", "clinical"), strength, strict=True):
        matrix = share * truth[:, None] + rng.normal(size=(len(ids), 8))
        vectors = {i: row for i, row in zip(ids, matrix, strict=True) if i not in without or name == "clinical"}
        found.append(ModalityInput(name, name.upper(), "", vectors, frozenset(() if name == "clinical" else seen)))
    return found


def folds_of(data, inputs, k=3):
    train = data.patients.filter(pl.col("role") == "train")["patient_id"].to_list()
    made = []
    for fold in range(k):
        mine = train[fold::k]
        role = pl.when(pl.col("patient_id").is_in(mine)).then(pl.lit("held_out")).otherwise(pl.lit("train"))
        patients = data.patients.filter(pl.col("patient_id").is_in(train)).with_columns(role=role)
        facts = vars(data) | {"patients": patients, "images": None, "seen": set()}
        made.append((type(data)(**facts), inputs))
    return made


@pytest.fixture(scope="module")
def data():
    return make_study(images=False, train=150, held_out=80, external=60)


def test_everyone_judges_every_model(data):
    held_out, external = compare_modalities(data, inputs_of(data), SETTINGS)
    assert (held_out.split, external.split) == ("held_out", "external")
    for found in (held_out, external):
        assert list(found.labels) == MODELS
        labelled = data.patients.filter(
            (pl.col("role") == found.split) & ~pl.col("treated") & pl.col("y").is_not_null()
        )
        assert (found.n, found.events, found.left_out) == (labelled.height, labelled["y"].sum(), 0)
        for model in MODELS:
            mine = {row.metric: row for row in found.metrics if row.model == model}
            assert set(mine) == {*OF_LABEL, "c_index"}
            assert {(row.n, row.events) for name, row in mine.items() if name != "c_index"} == {
                (found.n, found.events)
            }
            assert all(
                row.lower < row.estimate < row.upper for name, row in mine.items() if name not in WITHOUT_INTERVAL
            )
            y = labelled.sort("patient_id")["y"].to_numpy()
            called = np.array([row.risk for row in found.predictions if row.model == model]) >= SETTINGS.threshold
            odds = SETTINGS.threshold / (1 - SETTINGS.threshold)
            benefit = (called & (y == 1)).mean() - odds * (called & (y == 0)).mean()
            assert mine["net_benefit"].estimate == pytest.approx(benefit)
            judged = [row.patient_id for row in found.predictions if row.model == model]
            assert judged == labelled.sort("patient_id")["patient_id"].to_list()
    assert "components" in held_out.metrics[0].method
    assert held_out.trained == external.trained > 80


def test_gaps_are_paired_and_adjusted(data):
    found = compare_modalities(data, inputs_of(data), SETTINGS)[0]
    pairs = [(gap.model, gap.against) for gap in found.gaps]
    clinical = "clinical_components"
    assert pairs[:3] == [("mri_components", clinical), ("pps_components", clinical), (UNION, clinical)]
    areas = {row.model: row.estimate for row in found.metrics if row.metric == "auroc"}
    assert found.best == max(MODELS[:3], key=areas.get)
    assert pairs[3:] == ([] if found.best == clinical else [(UNION, found.best)])
    y = dict(data.patients.select("patient_id", "y").iter_rows())
    risk = {model: np.array([row.risk for row in found.predictions if row.model == model]) for model in MODELS}
    labels = [y[row.patient_id] for row in found.predictions if row.model == clinical]
    for gap in found.gaps:
        test = paired_delong(labels, risk[gap.against], risk[gap.model])
        assert gap.estimate == pytest.approx(areas[gap.model] - areas[gap.against])
        assert (gap.lower, gap.upper, gap.p) == (test.difference.lower, test.difference.upper, test.p)
    ordered = sorted(gap.p for gap in found.gaps)
    held = [min(1.0, max((len(ordered) - j) * ordered[j] for j in range(i + 1))) for i in range(len(ordered))]
    assert sorted(gap.p_holm for gap in found.gaps) == pytest.approx(held)


def test_differences_cover_every_metric_of_the_same_pairs(data):
    for found in compare_modalities(data, inputs_of(data), SETTINGS):
        assert {(row.first, row.second) for row in found.differences} == {(g.model, g.against) for g in found.gaps}
        assert {row.metric for row in found.differences} == {"auroc", "c_index", "brier", "likelihood_ratio"}
        numbers = {(row.model, row.metric): row.estimate for row in found.metrics}
        for row in found.differences:
            if row.metric == "likelihood_ratio":
                assert row.second == "clinical_components"
                assert 0 <= row.p <= row.p_adjusted <= 1
            else:
                apart = numbers[row.first, row.metric] - numbers[row.second, row.metric]
                assert row.difference == pytest.approx(apart)
                assert row.lower < row.difference < row.upper
                assert (row.p is None) == (row.metric != "auroc")
        tests = {(row.first, row.second): row.p_adjusted for row in found.differences if row.metric == "auroc"}
        assert tests == {(gap.model, gap.against): gap.p_holm for gap in found.gaps}


def test_a_patient_who_judges_in_two_folds_is_refused(data):
    rounds = folds_of(data, inputs_of(data))
    with pytest.raises(LeakageError, match=r"fold 4 .* judge in another fold"):
        compare_modality_folds([*rounds, rounds[1]], SETTINGS)


def test_only_patients_with_every_modality_take_part(data):
    judges = data.patients.filter((pl.col("role") == "held_out") & ~pl.col("treated") & pl.col("y").is_not_null())
    gone = judges["patient_id"].to_list()[:7]
    found = compare_modalities(data, inputs_of(data, without=gone), SETTINGS)[0]
    assert (found.n, found.left_out) == (judges.height - 7, 7)
    assert not set(gone) & {row.patient_id for row in found.predictions}


def test_a_judge_whom_an_encoder_has_seen_is_refused(data):
    judge = data.patients.filter((pl.col("role") == "held_out") & ~pl.col("treated") & pl.col("y").is_not_null())
    with pytest.raises(LeakageError, match=r"held-out patients of cohort internal \(mri\)"):
        compare_modalities(data, inputs_of(data, seen=[judge["patient_id"][0]]), SETTINGS)
    train = data.patients.filter(pl.col("role") == "train")["patient_id"]
    assert compare_modalities(data, inputs_of(data, seen=train), SETTINGS)
    with pytest.raises(LeakageError):
        compare_modality_folds(folds_of(data, inputs_of(data, seen=train)), SETTINGS)


def test_folds_are_averaged_never_pooled(data):
    inputs = inputs_of(data)
    rounds = folds_of(data, inputs)
    found = compare_modality_folds(rounds, SETTINGS)
    single = [compare_modalities(fold, inputs, SETTINGS)[0] for fold, inputs in rounds]
    assert found.split == "cross_validation"
    assert (found.n, found.events) == (sum(one.n for one in single), sum(one.events for one in single))
    for row in found.metrics:
        folds = [next(m for m in one.metrics if (m.model, m.metric) == (row.model, row.metric)) for one in single]
        assert row.estimate == pytest.approx(np.mean([fold.estimate for fold in folds]))
        assert row.metric in WITHOUT_INTERVAL or row.lower < row.estimate < row.upper
    for gap in found.gaps:
        if gap.against != "clinical_components":
            continue
        folds = [next(g for g in one.gaps if (g.model, g.against) == (gap.model, gap.against)) for one in single]
        assert gap.estimate == pytest.approx(np.mean([fold.estimate for fold in folds]))
        errors = [(fold.upper - fold.lower) / (2 * norm.ppf(0.975)) for fold in folds]
        error = np.sqrt(np.square(errors).sum()) / len(errors)
        assert (gap.upper - gap.lower) / (2 * norm.ppf(0.975)) == pytest.approx(error, rel=1e-6)
        assert gap.p == pytest.approx(2 * norm.sf(abs(gap.estimate) / error), rel=1e-6)


def test_without_clinical_items_the_union_meets_the_best_image(data):
    found = compare_modalities(data, inputs_of(data)[:2], SETTINGS)[0]
    assert [(gap.model, gap.against) for gap in found.gaps] == [(UNION, found.best)]


def test_a_finding_has_no_c_index(data):
    timeless = type(data)(**(vars(data) | {"timed": False}))
    found = compare_modalities(timeless, inputs_of(data), SETTINGS)[0]
    assert {row.metric for row in found.metrics} == OF_LABEL


def test_one_class_of_judges_gives_reasons_not_numbers(data):
    held = pl.col("role") == "held_out"
    patients = data.patients.with_columns(y=pl.when(held).then(pl.lit(1, pl.Int8)).otherwise("y"))
    found = compare_modalities(type(data)(**(vars(data) | {"patients": patients})), inputs_of(data), SETTINGS)[0]
    areas = [row for row in found.metrics if row.metric == "auroc"]
    assert all(row.estimate is None and "not estimated" in row.method for row in areas)
    assert all(gap.estimate is gap.p is gap.p_holm is None for gap in found.gaps)


def test_nobody_with_every_modality_is_an_error(data):
    everyone = data.patients["patient_id"].to_list()
    held = data.patients.filter(pl.col("role") != "train")["patient_id"].to_list()
    with pytest.raises(AnalysisError, match="no judge has every modality"):
        compare_modalities(data, inputs_of(data, without=held), SETTINGS)
    with pytest.raises(AnalysisError):
        compare_modalities(data, inputs_of(data, without=everyone), SETTINGS)


def test_the_same_twice(data):
    assert compare_modalities(data, inputs_of(data), SETTINGS) == compare_modalities(
        data, inputs_of(data), SETTINGS
    )

"""Folds, presets, printed values and the models of the items alone of paper 2's study."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hccfeat.config import GRADES, load_mri_recipe
from hccfeat.errors import AnalysisError, ConfigError
from hccfeat.reproduction.mvi.checklist import PAPER, WITHOUT_TRAINING, all_items, chosen_items
from hccfeat.reproduction.mvi.clinical import clinical_probabilities
from hccfeat.reproduction.mvi.folds import stratified_folds
from hccfeat.reproduction.mvi.items.comparison import verdict
from hccfeat.reproduction.mvi.presets import CLINICAL_MODELS, CONTROLS, load_mvi_preset
from hccfeat.reproduction.mvi.rows import TABLE1, TABLE2, printed_score
from hccfeat.reproduction.mvi.scores import ACCURACY, AUC, METRICS, Scores, grade_metric
from hccfeat.reproduction.printed import printed
from hccfeat.training.mri_data import Exam
from hccfeat.training.mri_methods import METHODS, OURS


def exams(n: int, seed: int = 0, signal: float = 2.0) -> list[Exam]:
    """Exams with two items, one of which tells the grade; the other is never recorded."""
    generator = np.random.default_rng(seed)
    made = []
    for row in range(n):
        items = np.array([signal * (row % 3) + generator.normal(), np.nan, generator.normal()])
        if row % 7 == 0:
            items[0] = np.nan
        made.append(Exam(f"c/{row:03}-mri", f"c/{row:03}", row % 3, (), items))
    return made


def test_folds_of_the_papers_cohort() -> None:
    grades = np.repeat([0, 1, 2], [128, 93, 49])
    folds = stratified_folds([f"p{i:03}" for i in range(270)], grades, 5, 2023)
    for fold in range(1, 6):
        inside = grades[folds == fold]
        assert len(inside) == 54
        counts = np.bincount(inside)
        assert counts[0] in (25, 26)
        assert counts[1] in (18, 19)
        assert counts[2] in (9, 10)


@given(st.lists(st.integers(0, 2), min_size=6, max_size=80), st.integers(2, 6), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_folds_differ_by_one_patient_and_do_not_know_the_order(drawn: list[int], folds: int, seed: int) -> None:
    grades = np.array([*drawn, *([0, 1, 2] * folds)])
    patients = [f"p{i}" for i in range(len(grades))]
    found = stratified_folds(patients, grades, folds, seed)
    assert np.ptp(np.bincount(found)[1:]) <= 1
    for grade in range(3):
        assert np.ptp(np.bincount(found[grades == grade], minlength=folds + 1)[1:]) <= 1
    turned = stratified_folds(patients[::-1], grades[::-1], folds, seed)
    assert (turned[::-1] == found).all()


def test_folds_that_cannot_be_are_refused() -> None:
    with pytest.raises(
        AnalysisError, match=r"fewer patients than there are folds, 5 \(patients: M0 9, M1 9, M2 2\)"
    ):
        stratified_folds([f"p{i}" for i in range(20)], np.repeat([0, 1, 2], [9, 9, 2]), 5, 1)
    with pytest.raises(AnalysisError, match="several exams"):
        stratified_folds(["a", "a", "b"], np.array([0, 1, 2]), 2, 1)


@pytest.mark.parametrize("name", ["paper", "reduced", "tiny"])
def test_a_shipped_preset_runs_every_method_but_the_controls(name: str) -> None:
    preset = load_mvi_preset(name)
    assert set(preset.methods) == set(METHODS) - set(CONTROLS)
    assert {*TABLE1, *TABLE2} <= set(preset.methods)
    assert preset.clinical == CLINICAL_MODELS
    assert preset.reduced == bool(preset.statement) == (name != "paper")
    assert load_mri_recipe(preset.recipe).name == preset.recipe
    assert preset.folds == (3 if name == "tiny" else 5)


@pytest.mark.parametrize("methods", ['["ours", "ours"]', '["ours", "vgg"]', "[]"])
def test_a_preset_with_a_wrong_method_names_the_key(tmp_path: Path, methods: str) -> None:
    folder = tmp_path / "data_catalog" / "reproduction_mvi"
    folder.mkdir(parents=True)
    (folder / "own.toml").write_text(
        f'name = "own"\ntitle = "own"\nreduced = true\nrecipe = "mri-tiny"\nmethods = {methods}\n'
    )
    with pytest.raises(ConfigError, match="methods"):
        load_mvi_preset("own", tmp_path)


def test_every_row_of_both_tables_has_its_printed_scores() -> None:
    assert sum(printed("cohort", grade, paper="mvi") for grade in GRADES) == printed(
        "cohort", "patients", paper="mvi"
    )
    for method in (*TABLE1, *TABLE2):
        for metric in METRICS:
            value = printed_score(method, metric.key)
            assert value is not None
            assert 0.4 < value < 0.75
        assert (printed_score(method, "p") is None) == (method == OURS or method in TABLE2)
    # what the text claims is what the table has
    for metric in METRICS:
        gap = 100 * (printed_score(OURS, metric.key) - printed_score("KD_ours", metric.key))
        assert gap == pytest.approx(printed("gains", metric.key, paper="mvi"), abs=1e-9)
    assert printed_score("teacher", "auc") is None


def test_the_checklist_has_every_number_of_the_paper_once() -> None:
    items = all_items()
    assert [number for item in items for number in item.numbers] == list(range(46, 73))
    assert {number for _, numbers in PAPER.sections for number in numbers} == set(range(46, 73))
    assert len({item.where for item in items}) == len(items)
    assert {item.number for item in items} >= WITHOUT_TRAINING
    assert [item.number for item in chosen_items(["50", "table 2", "61"])] == [48, 56]


@pytest.mark.parametrize("model", CLINICAL_MODELS)
def test_models_of_the_items_learn_from_the_training_patients_only(model: str) -> None:
    train, judged = exams(90), exams(30, seed=1)
    found = clinical_probabilities(model, train, judged, 1)
    assert found.shape == (30, 3)
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert (found.argmax(axis=1) == [exam.label for exam in judged]).mean() > 0.6
    # others who are judged beside a patient change nothing
    assert (clinical_probabilities(model, train, judged[:3], 1) == found[:3]).all()
    assert (clinical_probabilities(model, train, judged, 1) == found).all()


def test_scores_count_the_patients_whom_a_metric_is_about() -> None:
    labels, folds = np.tile([0, 1, 2, 0], 12), np.repeat([1, 2, 3], 16)
    generator = np.random.default_rng(1)
    good = np.eye(3)[labels] + generator.normal(0, 0.2, (48, 3))
    poor = generator.normal(size=(48, 3))
    scores = Scores(labels, folds, {"good": good, "poor": poor}, resamples=200, seed=1)
    assert scores.test_over_train == pytest.approx(0.5)
    assert scores.events(AUC) == 24
    assert scores.events(grade_metric(1)) == 12
    assert scores.estimate("good", ACCURACY).n == 48
    assert scores.confusion("good").sum() == 48
    found = scores.compare("good", "poor", AUC)
    assert found.t.p < found.corrected.p
    assert found.difference.estimate.lower > 0
    turned = scores.compare("poor", "good", AUC)
    assert turned.difference.estimate.value == -found.difference.estimate.value
    assert turned.difference.p == found.difference.p
    assert "none" not in scores


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ((0.1, 0.01, 0.2), "same direction; the interval excludes 0"),
        ((0.1, -0.01, 0.2), "same direction; the interval includes 0"),
        ((-0.1, -0.2, -0.01), "opposite direction; the interval excludes 0"),
        ((0.0, None, None), "no difference; no interval"),
        ((None, None, None), "cannot be told: there is no difference to look at"),
    ],
)
def test_a_verdict_is_about_sign_and_interval_and_never_confirms(
    limits: tuple[float | None, float | None, float | None], said: str
) -> None:
    assert verdict(*limits) == said

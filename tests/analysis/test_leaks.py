"""What learns, learns from training patients alone: nothing that a judge has reaches a model, a cut or a filling.

The fitted parameters are asked through their risks: of every training patient, and of patients whom nobody changed.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from hccfeat.analysis.comparators import COMPARATORS, ComparatorOptions
from hccfeat.analysis.data import PatchBags
from hccfeat.analysis.judges import predictions
from hccfeat.analysis.modalities import compare_modalities, compare_modality_folds
from hccfeat.analysis.modality_models import ModalityInput
from hccfeat.analysis.recurrence import EndpointData, analyse, analyse_folds
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError, LeakageError
from hccfeat.extraction.cells import CellSpec
from hccfeat.stats.clustered import clustered, judged
from hccfeat.stats.concordance import concordance
from tests.analysis.conftest import INDICATORS, Quick, make_study
from tests.analysis.null_study import folds_of, nothing
from tests.analysis.subset_study import make_bench
from tests.analysis.test_modalities import folds_of as modality_folds
from tests.analysis.test_modalities import inputs_of

SETTINGS = AnalysisConfig(bootstraps=100)
Scramble = Callable[[EndpointData, list[str]], EndpointData]


def outcomes_permuted(data: EndpointData, who: list[str]) -> EndpointData:
    """The outcomes of some patients dealt anew among them."""
    mine = pl.col("patient_id").is_in(who)
    columns = [name for name in data.patients.columns if name not in ("patient_id", "cohort", "role", "treated")]
    moved = data.patients.filter(mine)
    dealt = moved.with_columns(moved.select(columns).sample(fraction=1, shuffle=True, seed=8))
    return replace(data, patients=pl.concat([data.patients.filter(~mine), dealt]).sort("patient_id"))


def features_replaced(data: EndpointData, who: list[str]) -> EndpointData:
    """Other vectors, colours and indicators, far from anybody's, some missing and one constant."""
    mine = pl.col("patient_id").is_in(who)
    rng = np.random.default_rng(9)
    far = {name: pl.lit(50.0) if k else pl.lit(None, pl.Float64) for k, name in enumerate(INDICATORS)}
    indicators = data.indicators.with_columns(
        pl.when(mine).then(value).otherwise(pl.col(name)).alias(name) for name, value in far.items()
    )
    images = data.images
    if images is not None:
        vectors = np.stack([np.asarray(vector) for vector in images["vector"]])
        rows = np.flatnonzero(images["patient_id"].is_in(who).to_numpy())
        vectors[rows] = 30 * rng.normal(size=(len(rows), vectors.shape[1])) + 100
        colours = [
            pl.when(mine).then(0.0).otherwise(pl.col(name)).alias(name)
            for name in ("mean_red", "mean_green", "mean_blue")
            if name in images.columns
        ]
        kind = pl.Array(pl.Float32, vectors.shape[1])
        images = images.with_columns(*colours, vector=pl.Series(vectors.astype(np.float32), dtype=kind))
    return replace(data, indicators=indicators, images=images)


SCRAMBLES = [outcomes_permuted, features_replaced]


def ids_of(data: EndpointData, role: str) -> list[str]:
    return data.patients.filter(pl.col("role") == role)["patient_id"].to_list()


def risks(result: Any, split: str, who: set[str] | None = None) -> dict[tuple[str, str], float]:
    found = {(p.model, p.patient_id): p.risk for p in result.predictions if p.split == split}
    return {key: risk for key, risk in found.items() if who is None or key[1] in who}


@pytest.mark.parametrize("scramble", SCRAMBLES)
@pytest.mark.parametrize(("changed", "probe"), [("held_out", "external"), ("external", "held_out")])
def test_judges_decide_nothing(scramble: Scramble, changed: str, probe: str) -> None:
    data = make_study(missing=0.2)
    other = scramble(data, ids_of(data, changed))
    one, two = (analyse(each, SETTINGS, fit_images=Quick) for each in (data, other))
    assert {model for model, _ in risks(one, "apparent")} >= {
        "pps_mlp", "clinical_logistic", "integrated_logistic", "xgboost", "mean_colour_logistic",
    }  # fmt: skip
    assert risks(one, "apparent") == risks(two, "apparent")
    assert risks(one, probe) == risks(two, probe)
    cuts = [{(group.model, group.cut) for group in result.groups} for result in (one, two)]
    assert cuts[0] == cuts[1]
    for split in ("apparent", probe):
        numbers = [[row for row in result.metrics if row.split == split] for result in (one, two)]
        assert numbers[0] == numbers[1] != []
    assert [row for row in one.metrics if row.split == changed] != [
        row for row in two.metrics if row.split == changed
    ]


def bags_of(data: EndpointData) -> PatchBags:
    """The vectors of a patient's images as if they were those of patches."""
    rows = data.images.group_by("patient_id").agg("vector")
    known = {row["patient_id"]: np.array(row["vector"], dtype=np.float32) for row in rows.to_dicts()}
    return lambda patients: [known[patient] for patient in patients]


@pytest.mark.parametrize(
    "options", [ComparatorOptions(tuple(COMPARATORS)), ComparatorOptions(("coxnet", "xgboost-cox"), tune=True)]
)
def test_judges_decide_nothing_in_comparators_and_their_tuning(options: ComparatorOptions) -> None:
    data = make_study(train=60, held_out=30, external=20, missing=0.2)
    other = features_replaced(outcomes_permuted(data, ids_of(data, "held_out")), ids_of(data, "held_out"))
    one, two = (
        analyse(replace(each, bags=bags_of(each)), SETTINGS, fit_images=Quick, comparators=options)
        for each in (data, other)
    )
    fitted = {row.model for row in one.metrics}
    assert fitted >= {COMPARATORS[name].name for name in options.names}
    assert risks(one, "apparent") == risks(two, "apparent")
    assert risks(one, "external") == risks(two, "external")
    assert {(g.model, g.cut) for g in one.groups} == {(g.model, g.cut) for g in two.groups}


@pytest.mark.parametrize("scramble", SCRAMBLES)
def test_the_judges_of_a_fold_decide_nothing_in_it(scramble: Scramble) -> None:
    folds = folds_of(nothing(3, 12), 3)
    judges = ids_of(folds[1], "held_out")
    kept = set(judges[::2])
    changed = [*folds[:1], scramble(folds[1], judges[1::2]), *folds[2:]]
    one, two = (analyse_folds(each, SETTINGS, fit_images=Quick) for each in (folds, changed))
    everyone_else = set(folds[0].patients["patient_id"]) - set(judges)
    for who in (kept, everyone_else):
        found = [risks(result, "cross_validation", who) for result in (one, two)]
        assert found[0] == found[1] != {}


def other_vectors(inputs: list[ModalityInput], who: set[str]) -> list[ModalityInput]:
    rng = np.random.default_rng(5)
    return [
        replace(one, vectors={i: 40 * rng.normal(size=len(v)) if i in who else v for i, v in one.vectors.items()})
        for one in inputs
    ]


@pytest.mark.parametrize("what", ["outcomes", "vectors"])
def test_judges_decide_nothing_in_a_comparison_of_modalities(what: str) -> None:
    data = make_study(images=False, train=120, held_out=60, external=40)
    inputs = inputs_of(data)
    changed = set(ids_of(data, "held_out"))
    other = (
        (outcomes_permuted(data, sorted(changed)), inputs)
        if what == "outcomes"
        else (data, other_vectors(inputs, changed))
    )
    one, two = (compare_modalities(*each, SETTINGS)[1] for each in ((data, inputs), other))
    assert one.split == two.split == "external"
    assert one.predictions == two.predictions
    assert one.metrics == two.metrics


def test_judges_decide_nothing_in_a_fold_of_a_comparison() -> None:
    data = make_study(images=False, train=150, held_out=0, external=0)
    rounds = modality_folds(data, inputs_of(data))
    judges = ids_of(rounds[0][0], "held_out")
    changed = [
        (outcomes_permuted(rounds[0][0], judges), other_vectors(rounds[0][1], set(judges[::2]))),
        *rounds[1:],
    ]
    one, two = (compare_modality_folds(each, SETTINGS) for each in (rounds, changed))
    found = [
        {(p.model, p.patient_id): p.risk for p in each.predictions if p.patient_id not in judges[::2]}
        for each in (one, two)
    ]
    shared = found[0].keys() & found[1].keys()
    assert {patient for _, patient in shared} & set(judges)
    assert all(found[0][key] == found[1][key] for key in shared)


class Shifted(Quick):
    """A network whose risks lie on another level in every fold."""

    fitted = 0

    def __init__(self, x: np.ndarray, y: np.ndarray, recipe: object) -> None:
        super().__init__(x, y, recipe)
        Shifted.fitted += 1
        self.level = 0.15 * (Shifted.fitted % 6)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return 0.1 * super().predict(x) + self.level


def test_risks_of_folds_are_never_put_on_one_scale() -> None:
    folds = [replace(fold, indicator_names=[]) for fold in folds_of(nothing(4, 12), 4)]
    plain, shifted = (analyse_folds(folds, SETTINGS, fit_images=fit) for fit in (Quick, Shifted))
    for metric in ("auroc", "c_index"):
        one, two = (
            next(row for row in result.metrics if (row.model, row.metric) == ("pps_mlp", metric))
            for result in (plain, shifted)
        )
        assert two.estimate == pytest.approx(one.estimate, abs=1e-12)
    levels = {}
    for name, result in (("plain", plain), ("shifted", shifted)):
        risk = {p.patient_id: p.risk for p in result.predictions if p.model == "pps_mlp"}
        patients = folds[0].patients
        values = [risk[patient] for patient in patients["patient_id"]]
        levels[name] = concordance(patients["time"], patients["event"], values).value
    assert abs(levels["plain"] - levels["shifted"]) > 0.001, "a pooled C-index would not have noticed"


def test_a_patient_has_one_role() -> None:
    data = make_study()
    twice = pl.concat([data.patients, data.patients.head(1).with_columns(role=pl.lit("held_out"))])
    with pytest.raises(AnalysisError, match="repeated values of patient_id"):
        replace(data, patients=twice)


def test_more_images_of_a_judge_are_no_more_evidence() -> None:
    data = make_study(indicator_names=[])
    judges = ids_of(data, "held_out")
    mine = data.images.filter(pl.col("patient_id").is_in(judges))
    copies = [mine.with_columns(image_id=pl.col("image_id") + f"_copy{k}") for k in range(4)]
    one, two = (
        analyse(replace(data, images=images), SETTINGS, fit_images=Quick)
        for images in (data.images, pl.concat([data.images, *copies]))
    )
    for first, second in zip(one.metrics, two.metrics, strict=True):
        assert (first.n, first.events) == (second.n, second.events)
        for name in ("estimate", "lower", "upper"):
            assert getattr(second, name) == pytest.approx(getattr(first, name), abs=1e-6), (first.metric, name)
    areas = [row for row in one.metrics if (row.metric, row.split) == ("auroc", "held_out")]
    assert all("patient level" in row.method for row in areas)


@pytest.mark.parametrize("level", ["patch", "image"])
@pytest.mark.parametrize("score", ["auroc", "average_precision", "accuracy"])
def test_intervals_of_patches_and_images_resample_patients(level: str, score: str) -> None:
    bench = make_bench(lambda model, subset: 0.5)
    cell = bench.cells.get(CellSpec("cnn_sasm", "1/1", "fold1"))
    found = predictions(cell, bench.judges, bench.judges.of_fold("fold1", "1/1"), level)
    draw = {"resamples": 400, "seed": 1}
    interval = clustered(found, score, **draw)
    y, risk, names = np.tile(found.y, 9), np.tile(found.risk, 9), [found.patients[row] for row in found.owner] * 9
    often = clustered(judged(y, risk, names, found.unit), score, **draw)
    assert (often.lower, often.upper) == pytest.approx((interval.lower, interval.upper), abs=1e-9)
    alone = clustered(judged(y, risk, [f"{k:05d}" for k in range(len(y))], found.unit), score, **draw)
    assert alone.upper - alone.lower < 0.6 * (interval.upper - interval.lower)
    assert "over patients" in interval.method
    assert "DeLong" not in interval.method


@pytest.mark.parametrize("role", ["held_out", "external"])
def test_analyse_refuses_a_judge_whom_the_encoder_has_seen(role: str) -> None:
    data = make_study()
    with pytest.raises(LeakageError, match="1 of"):
        analyse(replace(data, seen=data.seen | {ids_of(data, role)[-1]}), SETTINGS, fit_images=Quick)


def test_analyse_folds_refuses_a_judge_whom_the_encoder_has_seen_or_who_judges_twice() -> None:
    folds = folds_of(nothing(1, 8), 1)
    seen = replace(folds[2], seen=folds[2].seen | {ids_of(folds[2], "held_out")[0]})
    with pytest.raises(LeakageError, match="fold 3"):
        analyse_folds([*folds[:2], seen], SETTINGS, fit_images=Quick)
    with pytest.raises(LeakageError, match="another fold"):
        analyse_folds([folds[0], folds[0]], SETTINGS, fit_images=Quick)


@pytest.mark.parametrize("role", ["held_out", "external"])
def test_compare_modalities_refuses_a_judge_whom_an_encoder_has_seen(role: str) -> None:
    data = make_study(images=False, treated=0.0)
    labelled = data.patients.filter((pl.col("role") == role) & pl.col("y").is_not_null())["patient_id"]
    with pytest.raises(LeakageError, match=r"\(mri\)"):
        compare_modalities(data, inputs_of(data, seen=[labelled[0]]), SETTINGS)


def test_compare_modality_folds_refuses_a_judge_whom_an_encoder_has_seen_or_who_judges_twice() -> None:
    data = make_study(images=False, treated=0.0, train=150)
    inputs = inputs_of(data)
    rounds = modality_folds(data, inputs)
    labelled = rounds[1][0].patients.filter((pl.col("role") == "held_out") & pl.col("y").is_not_null())[
        "patient_id"
    ]
    seen = [rounds[0], (rounds[1][0], inputs_of(data, seen=[labelled[0]])), rounds[2]]
    with pytest.raises(LeakageError, match=r"\(mri\)"):
        compare_modality_folds(seen, SETTINGS)
    with pytest.raises(LeakageError, match="another fold"):
        compare_modality_folds([rounds[0], rounds[0]], SETTINGS)

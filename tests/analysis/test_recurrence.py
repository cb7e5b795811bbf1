import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hccfeat.analysis.data import population
from hccfeat.analysis.imputed import impute, pooled_cox
from hccfeat.analysis.judging import risk_of
from hccfeat.analysis.models import fit_pps
from hccfeat.analysis.recurrence import EndpointData, analyse
from hccfeat.analysis.results import EndpointResult, Metric
from hccfeat.config import AnalysisConfig, PrognosticRecipe
from hccfeat.errors import AnalysisError, LeakageError
from hccfeat.stats.discrimination import auroc
from tests.analysis.conftest import INDICATORS

Study = Callable[..., EndpointData]
MODELS = {"pps_mlp", "clinical_logistic", "integrated_logistic", "xgboost", "mean_colour_logistic"}
OF_LABEL = {
    "auroc", "auprc", "accuracy", "precision", "recall", "f1",
    "brier", "brier_scaled", "calibration_slope", "calibration_intercept", "ici", "e50", "e90", "net_benefit",
}  # fmt: skip
METRICS = OF_LABEL | {"c_index", "c_uno", "auc_at", "ibs"}
ON_LABELLED = {"auroc", "auprc", "accuracy", "precision", "recall", "f1"}


def metric(result: EndpointResult, split: str, model: str, name: str, cohort: str | None = None) -> Metric:
    found = [
        row
        for row in result.metrics
        if (row.split, row.model, row.metric) == (split, model, name) and cohort in (None, row.cohort)
    ]
    assert len(found) == 1
    return found[0]


def numbers(value: object) -> list[float]:
    """Every float of a nested result."""
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers(item)]
    if isinstance(value, list | tuple):
        return [number for item in value for number in numbers(item)]
    if isinstance(value, np.ndarray):
        return [float(number) for number in value.ravel()]
    return [value] if isinstance(value, float) else []


def without_models(result: EndpointResult) -> dict:
    return asdict(EndpointResult(**(vars(result) | {"artefacts": {}})))


def test_every_model_is_judged_on_the_same_patients(study: Study, quick: type, settings: AnalysisConfig) -> None:
    result = analyse(study(), settings, fit_images=quick)
    for split in ("apparent", "held_out", "external"):
        rows = [row for row in result.metrics if row.split == split]
        assert {row.model for row in rows} == MODELS
        assert {row.metric for row in rows} == METRICS
        assert len(rows) == len(MODELS) * len(METRICS)
        assert len({(row.n, row.events) for row in rows if row.metric in ON_LABELLED}) == 1
        assert len({(row.n, row.events) for row in rows if row.metric not in ON_LABELLED}) == 1
        predicted = {
            model: [row.patient_id for row in result.predictions if (row.split, row.model) == (split, model)]
            for model in MODELS
        }
        assert len({tuple(ids) for ids in predicted.values()}) == 1
    assert metric(result, "held_out", "pps_mlp", "auroc").estimate > 0.6
    assert set(result.artefacts) == {"pps_mlp", "judges"}
    assert {group.model for group in result.groups} == MODELS
    assert {group.split for group in result.groups} == {"held_out", "external"}


def test_no_number_is_nan_or_infinite(study: Study, quick: type, settings: AnalysisConfig) -> None:
    for data in (study(), study(held_out=6, external=3), study(horizon=None)):
        result = analyse(data, settings, fit_images=quick)
        found = numbers(without_models(result))
        assert found
        assert np.isfinite(found).all()
        for row in result.metrics:
            assert row.method
            if row.estimate is not None and row.lower is not None:
                assert row.lower <= row.estimate <= row.upper


def test_equal_input_in_any_order_gives_equal_numbers(study: Study, quick: type, settings: AnalysisConfig) -> None:
    data = study()
    shuffled = study(
        patients=data.patients.sample(fraction=1, shuffle=True, seed=5),
        images=data.images.sample(fraction=1, shuffle=True, seed=6),
    )
    one, two = (without_models(analyse(each, settings, fit_images=quick)) for each in (data, shuffled))
    assert json.dumps(one, default=lambda array: array.tolist()) == json.dumps(
        two, default=lambda array: array.tolist()
    )


def test_outcomes_of_the_judges_do_not_touch_their_risks(
    study: Study, quick: type, settings: AnalysisConfig
) -> None:
    data = study()
    judged = pl.col("role") != "train"
    turned = data.patients.with_columns(
        y=pl.when(judged).then(1 - pl.col("y")).otherwise(pl.col("y")),
        event=pl.when(judged).then(~pl.col("event")).otherwise(pl.col("event")),
    )
    one, two = (analyse(each, settings, fit_images=quick) for each in (data, study(patients=turned)))
    assert one.predictions == two.predictions
    assert [group.cut for group in one.groups] == [group.cut for group in two.groups]


def test_the_cut_is_the_training_median_and_high_is_above_it(
    study: Study, quick: type, settings: AnalysisConfig
) -> None:
    data = study()
    result = analyse(data, settings, fit_images=quick)
    labelled = set(data.patients.filter(pl.col("y").is_not_null())["patient_id"])
    for group in result.groups:
        trained = [
            row.risk
            for row in result.predictions
            if (row.split, row.model) == ("apparent", group.model) and row.patient_id in labelled
        ]
        assert group.cut == pytest.approx(np.median(trained))
        mine = [
            row.risk
            for row in result.predictions
            if (row.cohort, row.split, row.model) == (group.cohort, group.split, group.model)
        ]
        high = sum(risk > group.cut for risk in mine)
        assert [curve.n for curve in group.curves] == [count for count in (len(mine) - high, high) if count]


@pytest.mark.parametrize("role", ["held_out", "external"])
def test_a_judge_whom_the_encoder_has_seen_is_a_leak(
    study: Study, quick: type, settings: AnalysisConfig, role: str
) -> None:
    data = study()
    one = data.patients.filter(pl.col("role") == role)["patient_id"][0]
    with pytest.raises(LeakageError, match=f"{role.replace('_', '-')} patients of cohort"):
        analyse(study(seen=data.seen | {one}), settings, fit_images=quick)


def test_missing_indicators_are_filled_from_training_patients_and_counted(
    study: Study, quick: type, settings: AnalysisConfig
) -> None:
    data = study(missing=0.3)
    result = analyse(data, settings, fit_images=quick)
    row = metric(result, "held_out", "clinical_logistic", "auroc")
    kept = [item.patient_id for item in result.predictions if (item.split, item.model) == ("held_out", "xgboost")]
    lacking = data.indicators.filter(pl.col("patient_id").is_in(kept)).drop_nulls().height
    assert f"{len(kept) - lacking} of {len(kept)} patients lack an indicator" in row.method
    assert any(notice.title == "Indicators often missing" for notice in result.notices)


def test_attrition_adds_up(study: Study, quick: type, settings: AnalysisConfig) -> None:
    data = study()
    result = analyse(data, settings, fit_images=quick)
    assert {(row["cohort"], row["split"]) for row in result.attrition} == {
        ("internal", "apparent"),
        ("internal", "held_out"),
        ("external", "external"),
    }
    assert sum(row["patients"] for row in result.attrition) == data.patients.height
    for row in result.attrition:
        assert row["patients"] == row["labelled"] + row["excluded"]
        assert "treated (" in row["reason"]
        assert "censored before the horizon (" in row["reason"]


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_hazard_ratio_kinds(study: Study, quick: type, settings: AnalysisConfig, missing: float) -> None:
    """Where an indicator is missing, ratios pooled over imputations stand beside those of complete cases."""
    result = analyse(study(missing=missing), settings, fit_images=quick)
    kinds = {(row.cohort, row.kind) for row in result.hazard_ratios}
    imputed = {(cohort, kind) for cohort, kind in kinds if kind.endswith(", imputed")}
    assert imputed == {
        (cohort, f"{kind}, imputed") for cohort, kind in kinds - imputed if missing and "variable" in kind
    }
    assert list(result.logistic) == (["internal, apparent", "internal, apparent, imputed"] if missing else [])
    assert kinds - imputed == {
        ("internal", "univariable, apparent"),
        ("internal", "multivariable, apparent"),
        *(
            (cohort, kind)
            for cohort in ("internal", "external")
            for kind in ("univariable", "multivariable", "risk group", "risk per SD")
        ),
    }
    assert {row.ties for row in result.hazard_ratios} == {"efron"}
    strong = next(
        row
        for row in result.hazard_ratios
        if (row.cohort, row.kind, row.term) == ("internal", "risk per SD", "pps_mlp")
    )
    assert strong.hr > 1


def test_pooled_rows_of_an_image_cohort_name_their_patients(
    study: Study, quick: type, settings: AnalysisConfig
) -> None:
    data = study(missing=0.2)
    result = analyse(data, settings, fit_images=quick)
    patients = population(data, "internal", "held_out", "held_out")
    rows = [row for row in result.hazard_ratios if (row.cohort, row.kind) == ("internal", "multivariable, imputed")]
    complete = [row for row in result.hazard_ratios if (row.cohort, row.kind) == ("internal", "multivariable")]
    assert [row.term for row in rows] == [row.term for row in complete] == INDICATORS
    assert {(row.n, row.events) for row in rows} == {(len(patients), int(patients.event.sum()))}
    assert complete[0].n == len(patients) - (lacking := int(np.isnan(patients.indicators).any(axis=1).sum()))
    (test,) = (t for t in result.tests if (t.split, "D3" in t.test) == ("held_out", True))
    assert f"2 imputations, {lacking} of {len(patients)} patients with a missing item" in test.method
    told = [notice.text for notice in result.notices if notice.title == "Indicators imputed in cohort internal"]
    assert f"{lacking} of {len(patients)} held-out patients of cohort internal lack an indicator" in told[1]
    copies = impute(patients, [0, 1, 2], imputations=2, seed=settings.seed).completed
    by_hand = pooled_cox(patients.time, patients.event, copies, INDICATORS)
    assert [row.hr for row in rows] == pytest.approx(np.exp(by_hand.pooled.estimates))
    (logistic,) = {term.method for term in result.logistic["internal, apparent, imputed"]}
    assert "pooled over 2 imputations by Rubin's rules" in logistic
    assert "with a missing item" in logistic
    only = analyse(data, settings.model_copy(update={"missing": "complete"}), fit_images=quick)
    assert not any("imputed" in row.kind for row in only.hazard_ratios)


def test_few_events_give_cautions_and_no_invented_numbers(
    study: Study, quick: type, settings: AnalysisConfig
) -> None:
    data = study()
    judged = pl.col("role") == "held_out"
    none = data.patients.with_columns(
        y=pl.when(judged).then(pl.lit(0, pl.Int8)).otherwise(pl.col("y")), event=pl.col("event") & ~judged
    )
    result = analyse(study(patients=none), settings, fit_images=quick)
    for name in ("auroc", "auprc", "recall", "c_index"):
        row = metric(result, "held_out", "pps_mlp", name)
        assert (row.estimate, row.lower, row.upper, row.events) == (None, None, None, 0)
        assert "not estimated" in row.method
    mine = [row for row in result.hazard_ratios if (row.cohort, row.kind) == ("internal", "univariable")]
    assert {row.hr for row in mine} == {None}
    group = next(group for group in result.groups if group.split == "held_out")
    assert group.logrank_p is None
    assert "withheld" in group.note
    titles = {notice.title for notice in result.notices if notice.level == "caution"}
    assert {"One class", "Too few events in cohort internal"} <= titles
    assert {"one_class", "few_events"} <= {notice.kind for notice in result.notices}


@pytest.mark.parametrize(
    ("labels", "words"), [(0, "has an event"), (1, "have the event"), (None, "none can be used")]
)
def test_training_patients_of_one_class_are_an_error(
    study: Study, quick: type, settings: AnalysisConfig, labels: int | None, words: str
) -> None:
    patients = study().patients.with_columns(y=pl.lit(labels, pl.Int8))
    with pytest.raises(AnalysisError, match=words):
        analyse(study(patients=patients), settings, fit_images=quick)


def test_nobody_is_an_error(study: Study, settings: AnalysisConfig) -> None:
    data = study()
    with pytest.raises(AnalysisError, match="no patients to analyse"):
        analyse(study(patients=data.patients.clear()), settings)


def test_a_cohort_that_fails_does_not_take_the_others_down(
    study: Study, quick: type, settings: AnalysisConfig
) -> None:
    data = study(external=80)
    patients = data.patients.with_columns(
        role=pl.when(pl.col("role") == "external").then(pl.lit("all")).otherwise(pl.lit("train")),
        y=pl.when(pl.col("role") == "external").then(pl.col("y")).otherwise(pl.lit(0, pl.Int8)),
    )
    result = analyse(study(external=80, patients=patients), settings, fit_images=quick)
    assert {row.cohort for row in result.metrics} == {"external"}
    assert [notice.level for notice in result.notices].count("stop") == 1


def test_a_development_cohort_without_images_still_compares_clinical_models(
    study: Study, settings: AnalysisConfig
) -> None:
    result = analyse(study(images=False), settings)
    assert {row.model for row in result.metrics} == {"clinical_logistic", "xgboost"}
    assert result.artefacts == {}


def test_without_indicators_only_image_models_remain(study: Study, quick: type, settings: AnalysisConfig) -> None:
    result = analyse(study(indicator_names=[]), settings, fit_images=quick)
    assert {row.model for row in result.metrics} == {"pps_mlp", "xgboost", "mean_colour_logistic"}


def test_null_embeddings_do_not_predict(study: Study, quick: type) -> None:
    """Without signal the mean held-out AUROC over seeds is one half, although the apparent one is high."""
    scores: dict[str, list[float]] = {"apparent": [], "held_out": []}
    for seed in range(20):
        data = study(seed, train=80, held_out=60, external=0, signal=0.0, dimensions=40, treated=0.0)
        train = population(data, "internal", "train", "apparent")
        train = train.take(train.labelled)
        model = fit_pps(train, PrognosticRecipe(), quick)
        for split, judges in (
            ("apparent", train),
            ("held_out", population(data, "internal", "held_out", "held_out")),
        ):
            judges = judges.take(judges.labelled)
            scores[split].append(auroc(judges.y, risk_of(model, judges)).value)
    assert abs(np.mean(scores["held_out"]) - 0.5) < 0.05
    assert np.mean(scores["apparent"]) > 0.7


def test_the_prognostic_network_of_the_package_runs(study: Study, settings: AnalysisConfig) -> None:
    pytest.importorskip("hccfeat.training.prognostic")
    result = analyse(study(train=30, held_out=20, external=0), settings, PrognosticRecipe(max_epochs=3))
    assert metric(result, "held_out", "pps_mlp", "auroc").estimate is not None
    assert hasattr(result.artefacts["pps_mlp"], "predict")


def li2014(real_data: Path, horizon: float | None) -> EndpointData:
    raw = pl.read_csv(real_data / "hcc_li2014" / "hepatoCellular.csv")
    ids = ("li2014/" + raw["Number"].cast(str)).alias("patient_id")
    event = raw["Recurrence"] == 1
    label = event if horizon is None else event & (raw["RFS"] <= horizon)
    patients = pl.DataFrame(
        {
            "patient_id": ids,
            "cohort": ["li2014"] * raw.height,
            "role": ["all"] * raw.height,
            "treated": [False] * raw.height,
            "time": raw["RFS"].cast(float),
            "event": event,
            "y": label.cast(pl.Int8),
            "excluded": pl.Series([None] * raw.height, dtype=pl.String),
        }
    )
    names = ["HBsAg", "ALT", "AFP", "Tumorsize", "BCLC", "Vascularinvasion"]
    indicators = raw.select(ids, *names)
    return EndpointData("1y", "1 year", horizon, "none", patients, indicators, names)


def close(found: float, expected: float) -> bool:
    """Equal to four significant digits."""
    return f"{found:.3e}" == f"{expected:.3e}"


@pytest.mark.real_data
@pytest.mark.parametrize(("horizon", "block"), [(None, "cox_univariable"), (12.0, "cox_univariable_12m")])
def test_li2014_hazard_ratios_equal_r(
    real_data: Path, reference: Path, settings: AnalysisConfig, horizon: float | None, block: str
) -> None:
    r = {row["term"]: row for row in json.loads((reference / "r_reference.json").read_text())[block]}
    result = analyse(li2014(real_data, horizon), settings)
    rows = {row.term: row for row in result.hazard_ratios if row.kind == "univariable"}
    assert rows.keys() == r.keys()
    for term, row in rows.items():
        assert (row.n, row.events) == (227, r[term]["events"])
        for found, name in ((row.hr, "hr"), (row.lower, "hr_lower95"), (row.upper, "hr_upper95"), (row.p, "p")):
            assert close(found, r[term][name]), (term, name, found)


@pytest.mark.real_data
def test_li2014_logistic_model_and_its_apparent_auroc_equal_r(
    real_data: Path, reference: Path, settings: AnalysisConfig
) -> None:
    r = json.loads((reference / "r_reference.json").read_text())
    result = analyse(li2014(real_data, 12.0), settings)
    terms = result.logistic["li2014"]
    assert [term.term for term in terms] == r["logistic_12m"]["term"]
    for term, coefficient, error, p in zip(
        terms, r["logistic_12m"]["coef"], r["logistic_12m"]["se"], r["logistic_12m"]["p"], strict=True
    ):
        assert close(term.coefficient, coefficient)
        assert close(term.standard_error, error)
        assert close(term.p, p)
        assert term.lower < term.odds_ratio < term.upper
    row = metric(result, "apparent", "clinical_logistic", "auroc")
    assert (row.n, row.events) == (227, 91)
    lower, middle, upper = r["roc_12m"]["auc_logistic_ci_delong"]
    assert close(row.estimate, middle)
    assert close(row.lower, lower)
    assert close(row.upper, upper)
    assert {item.split for item in result.metrics} == {"apparent", "cross_validation"}
    assert any("no images" in notice.title for notice in result.notices)


def as_finding(data: EndpointData) -> EndpointData:
    """The same labels without any time."""
    gone = data.patients.with_columns(
        time=pl.lit(None, dtype=pl.Float64), event=pl.lit(None, dtype=pl.Boolean), treated=pl.lit(False)
    )
    return EndpointData(**(vars(data) | {"patients": gone, "timed": False, "horizon_months": None}))


def test_a_finding_without_time_has_no_survival_analysis(
    study: Study, quick: type, settings: AnalysisConfig
) -> None:
    result = analyse(as_finding(study()), settings, fit_images=quick)
    assert {row.metric for row in result.metrics} == OF_LABEL
    assert {curve.months for curve in result.calibrations + result.decisions} == {None}
    assert result.survival == result.incidences == result.proportionality == []
    assert [test.model for test in result.tests] == ["multivariable logistic, imputed"]
    assert [notice.title for notice in result.notices].count("Indicators imputed in cohort internal") == 1
    assert {row.split for row in result.metrics} == {"apparent", "held_out", "external"}
    assert result.hazard_ratios == result.groups == []
    assert [notice.title for notice in result.notices].count("No survival analysis") == 1
    assert not {"few_events", "group_without_events"} & {notice.kind for notice in result.notices}
    assert result.artefacts


def test_a_described_cohort_with_a_finding_has_its_clinical_model(study: Study, settings: AnalysisConfig) -> None:
    data = as_finding(study(images=False))
    everyone = EndpointData(**(vars(data) | {"patients": data.patients.with_columns(role=pl.lit("all"))}))
    result = analyse(everyone, settings)
    assert {row.model for row in result.metrics} == {"clinical_logistic", "clinical_logistic_imputed"}
    assert result.logistic
    assert result.hazard_ratios == []
    nobody = data.patients.with_columns(role=pl.lit("all"), y=pl.lit(0, pl.Int8))
    with pytest.raises(AnalysisError, match="no events"):
        analyse(EndpointData(**(vars(data) | {"patients": nobody})), settings)


def test_images_of_exams_name_their_model(study: Study, quick: type, settings: AnalysisConfig) -> None:
    data = study()
    assert data.images is not None
    exams = EndpointData(
        **(vars(data) | {"modality": "mri", "images": data.images.drop("mean_red", "mean_green", "mean_blue")})
    )
    result = analyse(exams, settings, fit_images=quick)
    assert {row.model for row in result.metrics} == MODELS - {"pps_mlp", "mean_colour_logistic"} | {"mri_mlp"}
    described = {row.model: row.method for row in result.metrics}
    assert "MRI embedding" in described["mri_mlp"]
    assert not any("PPS" in method for method in described.values())
    assert list(result.artefacts) == ["mri_mlp", "judges"]

import csv
import io
from dataclasses import replace

import pytest

from hccfeat.analysis.results import EndpointResult, Metric, ModalityComparison, ModalityGap, Prediction
from hccfeat.report.blocks import Scene
from hccfeat.report.methods import methods_text
from hccfeat.report.modality_view import modalities, modality_sentence
from hccfeat.report.twin import twin_files
from tests.report.sample import full_report

LABELS = {
    "mri_components": "MRI (mri)",
    "clinical_components": "Clinical items (52)",
    "union_components": "All together",
}
AREAS = {"mri_components": 0.7, "clinical_components": 0.65, "union_components": 0.75}


def comparison(*, known: bool = True) -> ModalityComparison:
    place = ("mvi", "internal", "held_out")
    metrics = [
        Metric(*place, model, metric, *((area, area - 0.1, area + 0.1) if known else (None,) * 3), 60, 25, "why")
        for model, area in AREAS.items()
        for metric in ("auroc", "brier", "calibration_slope")
    ]
    gap = (0.05, -0.02, 0.12, 0.16, 0.32) if known else (None,) * 5
    return ModalityComparison(
        cohort="internal",
        split="held_out",
        labels=LABELS,
        trained=150,
        trained_events=70,
        n=60,
        events=25,
        left_out=3,
        metrics=tuple(metrics),
        gaps=(
            ModalityGap("union_components", "clinical_components", 0.1, 0.02, 0.18, 0.01, 0.03, 60, 25, "DeLong"),
            ModalityGap("union_components", "mri_components", *gap, 60, 25, "DeLong"),
        ),
        predictions=(Prediction(*place, "mri_components", "internal/SECRET1", 0.4),),
        best="mri_components",
        note="fitted on 150 patients (70 events); MRI (mri): mri-1, 1024 dimensions, 15 components",
    )


def result(**changes: object) -> EndpointResult:
    made = EndpointResult("mvi", "Microvascular invasion", None, "none", timed=False)
    return replace(made, modalities=[comparison()], **changes)  # type: ignore[arg-type]


def test_the_sentence_has_counts_intervals_and_the_difference() -> None:
    assert modality_sentence(comparison()) == (
        "AUROC in internal, held out, on the 60 patients (25 events) with every modality: MRI (mri) 0.700 "
        "(0.600–0.800); Clinical items (52) 0.650 (0.550–0.750); All together 0.750 (0.650–0.850); all together "
        "minus the best single one, MRI (mri): 0.050 (-0.020 to 0.120), P 0.160."
    )


def test_what_cannot_be_had_is_a_dash() -> None:
    assert modality_sentence(comparison(known=False)).endswith("Clinical items (52) –; All together –.")
    block = modalities(replace(result(), modalities=[comparison(known=False)]), Scene(0, {}, simulated=False), "e0")
    assert block is not None
    assert 'title="why"' in block.parts[0].tables[0]


def test_tables_figure_and_mark() -> None:
    block = modalities(result(), Scene(0, {}, simulated=True), "e0")
    assert block is not None
    (part,) = block.parts
    scores, gaps, further = part.tables
    assert "All together − MRI (mri) (best single)" in gaps
    for p in ("0.160", "0.320", "0.010", "0.030"):
        assert f">{p}<" in gaps
    assert "Brier score" in scores
    assert "C-index" not in scores
    assert not further
    (figure,) = part.figures
    assert "SIMULATED DATA" in figure.caption
    assert "60 patients (25 events)" in figure.caption
    assert "All together: 0.750" in figure.svg
    assert "principal components" in part.notes[0]
    assert "fitted on 150 patients (70 events)" in part.notes[0]


def test_the_twin_holds_every_score_and_difference_and_no_patient() -> None:
    files = twin_files(replace(full_report(), endpoints=[result()]))
    rows = list(csv.DictReader(io.StringIO(files["modalities.csv"])))
    assert len(rows) == 9 + 2
    scores = {(row["model"], row["metric"]): row for row in rows if not row["against"]}
    assert float(scores["union_components", "auroc"]["estimate"]) == pytest.approx(0.75)
    gaps = [row for row in rows if row["against"]]
    assert [(row["against"], row["p"], row["p_holm"]) for row in gaps] == [
        ("clinical_components", "0.01", "0.03"),
        ("mri_components", "0.16", "0.32"),
    ]
    assert {(row["n"], row["events"], row["trained"], row["left_out"]) for row in rows} == {
        ("60", "25", "150", "3")
    }
    assert "SECRET" not in "".join(files.values())
    assert len(list(csv.DictReader(io.StringIO(files["metrics.csv"])))) == 9


def test_the_methods_name_the_recipe_only_where_it_was_used() -> None:
    report = full_report()
    assert "Modalities" not in "\n".join(methods_text(report))
    text = "\n".join(methods_text(replace(report, endpoints=[result()])))
    assert "training medians for missing values, standardised" in text
    assert "Microvascular invasion, held out: fitted on 150 patients" in text
    assert "Holm" in text

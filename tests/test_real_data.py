"""Real files through the commands: Li 2014 against R, TCGA-LIHC counts, real H&E through a trained encoder."""

import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hccfeat.store.catalog import query
from hccfeat.store.shards import read_shard
from hccfeat.study import AnalyzeSummary, Study, init_study

pytestmark = pytest.mark.real_data

NAMES = {
    "hbsag": "HBsAg", "alt": "ALT", "afp": "AFP", "tumour_size": "Tumorsize", "bclc": "BCLC",
    "vascular_invasion": "Vascularinvasion",
}  # fmt: skip


@pytest.fixture(scope="module")
def li2014(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, AnalyzeSummary]:
    study = init_study(tmp_path_factory.mktemp("li") / "study", name="li")
    summary = study.ingest("li2014", real_data / "hcc_li2014" / "hepatoCellular.csv")
    assert (summary.patients, summary.problems) == (227, [])
    return study, study.analyze(("final", "1y"))


@pytest.mark.parametrize(("endpoint", "key"), [("final", "cox_univariable"), ("1y", "cox_univariable_12m")])
def test_li2014_hazard_ratios_equal_r(
    li2014: tuple[Study, AnalyzeSummary], reference: Path, endpoint: str, key: str
) -> None:
    _, summary = li2014
    expected = {row["term"]: row for row in json.loads((reference / "r_reference.json").read_text())[key]}
    with (summary.report.parent / "data" / "hazard_ratios.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["endpoint"] == endpoint and row["kind"] == "univariable"]
    assert {NAMES[row["term"]] for row in rows} == set(expected)
    for row in rows:
        r = expected[NAMES[row["term"]]]
        assert (row["ties"], int(row["n"]), int(row["events"])) == ("efron", r["n"], r["events"])
        for ours, theirs in (("hr", "hr"), ("lower", "hr_lower95"), ("upper", "hr_upper95"), ("p", "p")):
            assert float(f"{float(row[ours]):.4g}") == pytest.approx(float(f"{r[theirs]:.4g}"), rel=1e-9)


def test_li2014_logistic_and_auroc_equal_r(li2014: tuple[Study, AnalyzeSummary], reference: Path) -> None:
    study, summary = li2014
    expected = json.loads((reference / "r_reference.json").read_text())
    with (summary.report.parent / "data" / "logistic.csv").open(newline="") as file:
        rows = {row["term"]: row for row in csv.DictReader(file) if row["endpoint"] == "1y"}
    fitted = expected["logistic_12m"]
    for term, coefficient, error in zip(fitted["term"], fitted["coef"], fitted["se"], strict=True):
        name = next((ours for ours, theirs in NAMES.items() if theirs == term), None)
        row = rows[name] if name else next(r for t, r in rows.items() if "ntercept" in t)
        assert float(row["coefficient"]) == pytest.approx(coefficient, rel=1e-4)
        assert float(row["standard_error"]) == pytest.approx(error, rel=1e-4)
    metric = query(
        study.folder,
        "SELECT * FROM metric WHERE run_id = ? AND endpoint = '1y' AND metric = 'auroc'",
        [summary.run_id],
    ).row(0, named=True)
    assert metric["split"] == "apparent"
    assert metric["estimate"] == pytest.approx(expected["roc_12m"]["auc_logistic"], rel=1e-4)
    lower, middle, upper = expected["roc_12m"]["auc_logistic_ci_delong"]
    assert (metric["lower"], metric["estimate"], metric["upper"]) == pytest.approx((lower, middle, upper), rel=1e-4)


def test_li2014_report_says_that_there_are_no_images(li2014: tuple[Study, AnalyzeSummary]) -> None:
    _, summary = li2014
    page = summary.report.read_text(encoding="utf-8")
    assert "There are no images" in page
    assert "SIMULATED DATA" not in page
    assert not summary.simulated


def test_tcga_portal_export(real_data: Path, tmp_path: Path) -> None:
    study = init_study(tmp_path / "study", name="tcga")
    folder = real_data / "tcga_lihc" / "gdc_2025-12"
    summary = study.ingest("tcga-lihc", folder / "clinical.tsv", table_format="gdc")
    assert summary.patients == 377
    recorded = [step for step in summary.attrition if step["step"].startswith("os: event and time recorded")]
    assert "132 events" in recorded[0]["step"]
    deaths = query(study.folder, "SELECT count(*) AS n FROM outcome WHERE outcome = 'os' AND event")["n"][0]
    assert deaths == 132
    zero = query(study.folder, "SELECT count(*) AS n FROM outcome WHERE months <= 0")["n"][0]
    assert zero == 0


@pytest.mark.parametrize("file", ["TCGA-CDR.xlsx", "derived/tcga_cdr_lihc.csv"])
def test_tcga_cdr_endpoints(real_data: Path, tmp_path: Path, file: str) -> None:
    study = init_study(tmp_path / "study", name="tcga")
    summary = study.ingest("tcga-cdr", real_data / "tcga_lihc" / file, table_format="tcga-cdr")
    assert summary.patients == 377
    steps = {step["step"]: step["n"] for step in summary.attrition}
    for outcome, events, n in (("os", 132, 376), ("dss", 80, 367), ("dfi", 147, 322), ("pfi", 185, 376)):
        assert steps[f"{outcome}: event and time recorded ({events} events)"] == n
    stored = query(
        study.folder, "SELECT outcome, count(*) AS n, count(*) FILTER (WHERE event) AS e FROM outcome GROUP BY 1"
    )
    counts = {row["outcome"]: (row["e"], row["n"]) for row in stored.to_dicts()}
    assert counts["pfi"] == counts["recurrence"] == (184, 371)
    assert counts["os"] == (131, 370)
    assert len(summary.problems) > 0


def angle(a: np.ndarray, b: np.ndarray) -> float:
    cosine = float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    return float(np.degrees(np.arccos(min(1.0, cosine))))


def test_real_slides_through_a_trained_encoder(
    real_data: Path, reference: Path, extracted_study: Path, tmp_path: Path
) -> None:
    slides = tmp_path / "slides"
    slides.mkdir()
    shutil.copy(real_data / "wsi" / "CMU-1-Small-Region.svs", slides)
    tiles = [f"tile0{i}_HE" for i in range(1, 5)]
    for tile in tiles:
        shutil.copy(real_data / "he_images" / "liver" / f"{tile}.jpg", slides)
    names = ["CMU-1-Small-Region.svs", *(f"{tile}.jpg" for tile in tiles)]
    mpp = ["", *["0.4942"] * 4]
    patients = [f"R{i}" for i in range(5)]
    pl.DataFrame({"patient_id": patients, "age": ["60"] * 5}).write_csv(tmp_path / "clinical.csv")
    pl.DataFrame({"file": names, "patient_id": patients, "mpp": mpp}).write_csv(tmp_path / "manifest.csv")
    study = init_study(tmp_path / "study", name="real", recipe="tiny")
    summary = study.ingest("real", tmp_path / "clinical.csv", slides=slides, manifest=tmp_path / "manifest.csv")
    assert (summary.images, summary.problems) == (5, [])
    weights = extracted_study / "models" / "pps-1" / "weights.safetensors"
    extracted = study.extract(weights=weights)
    assert (extracted.embedded, extracted.failures, extracted.excluded) == (5, [], 0)
    assert study.verify() == []
    spams = {name: np.array(v) for name, v in json.loads((reference / "stain_vectors.json").read_text()).items()}
    for row in query(
        study.folder, "SELECT s.*, i.width, i.height FROM shard s JOIN image i USING (image_id)"
    ).to_dicts():
        shard = read_shard(study.folder / row["path"])
        side = shard.attributes["patch_size_level0"]
        assert side == (128 if "CMU" in row["image_id"] else 130)
        assert row["patches"] == len(shard.coords) == 9
        assert (shard.coords >= 0).all()
        assert (shard.coords + side <= [row["width"], row["height"]]).all()
        assert (shard.coords % side == shard.coords[0] % side).all()
        assert Counter(map(tuple, shard.coords)).most_common(1)[0][1] == 1
        assert row["stain_accepted"]
        assert shard.attributes["mpp_source"] == ("openslide.mpp-x" if "CMU" in row["image_id"] else "override")
        name = row["image_id"].removeprefix("real/") + ".jpg"
        if name in spams:
            ours = np.array([row[f"stain_{stain}_{channel}"] for stain in "he" for channel in "rgb"]).reshape(2, 3)
            assert angle(ours[0], spams[name][0]) < 3
            assert angle(ours[1], spams[name][1]) < 3
    again = study.extract()
    assert again.nothing_done

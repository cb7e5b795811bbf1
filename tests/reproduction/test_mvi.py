"""The whole study of paper 2 at the preset tiny, on the simulated MRI exams of the tiny delivery."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hccfeat.cli import main
from hccfeat.errors import AnalysisError, ConfigError, InputError, LeakageError
from hccfeat.reproduction.mvi.rows import TABLE1, TABLE2
from hccfeat.reproduction.mvi.run import MviRequest, reproduce_mvi
from hccfeat.resources import resource_folder
from hccfeat.store.catalog import query
from hccfeat.store.verify import verify
from hccfeat.study import init_study, open_study
from hccfeat.training.mri_methods import OURS, TEACHER

ITEMS = 15


@pytest.fixture(scope="module")
def ingested(tiny_hospital: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with the MRI exams of the tiny delivery, and nothing else; copy it before changing it."""
    study = tmp_path_factory.mktemp("mvi") / "study"
    folder = tiny_hospital / "internal"
    init_study(study, name="tiny").ingest(
        "internal", folder / "clinical.csv", mri=folder / "mri", mri_manifest=folder / "mri_manifest.csv"
    )
    recipe = resource_folder("data_catalog") / "feature_sets" / "mri-tiny.toml"
    own = study / "data_catalog" / "feature_sets"
    own.mkdir(parents=True)
    # the same numbers on every processor, whether it has bfloat16 or not
    (own / recipe.name).write_text(re.sub(r"\nprecision.*", "", recipe.read_text()) + 'precision = "float32"\n')
    return study


@pytest.fixture(scope="module")
def reproduced(ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report's folder of a finished run."""
    study = tmp_path_factory.mktemp("reproduced-mvi") / "study"
    shutil.copytree(ingested, study)
    summary = open_study(study).reproduce("mvi", preset="tiny", device="cpu", workers=0)
    assert [item["status"] for item in summary.items] == ["shown"] * ITEMS
    assert summary.simulated
    return summary.report.parent


def table(folder: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "data" / name).read_text())))


@pytest.mark.slow
def test_both_tables_have_a_row_per_method_and_metric(reproduced: Path) -> None:
    page = (reproduced / "index.html").read_text()
    for name, methods in (("item-48-3.csv", TABLE1), ("item-56-3.csv", TABLE2)):
        rows = table(reproduced, name)
        assert [row["model"] for row in rows] == [method for method in (*methods, TEACHER) for _ in range(3)]
        for row in rows:
            folds = [float(row[f"fold{fold}"]) for fold in (1, 2, 3)]
            assert float(row["estimate"]) == pytest.approx(np.mean(folds))
            assert float(row["sd"]) == pytest.approx(np.std(folds, ddof=1))
            assert float(row["variance"]) == pytest.approx(np.var(folds, ddof=1))
            assert (row["printed"] == "") == (row["model"] == TEACHER)
            assert row["n"] == "24"
        for method in methods:
            assert re.search(rf'<th [^>]*scope="row"[^>]*>{re.escape(method)}</th>', page), method
    compared = table(reproduced, "item-48-4.csv")
    assert [row["model"] for row in compared] == [f"{OURS} minus {method}" for method in TABLE1 if method != OURS]
    assert all(row["df"] == "2" for row in compared)
    assert compared[0]["printed_p"] == "0.0122"


@pytest.mark.slow
def test_no_number_is_missing_without_a_reason_and_nobody_is_named(reproduced: Path) -> None:
    study = reproduced.parents[1]
    page = (reproduced / "index.html").read_text()
    names = [value.partition("/")[2] for value in query(study, "SELECT patient_id FROM patient")["patient_id"]]
    names += [value.partition("/")[2] for value in query(study, "SELECT image_id FROM image")["image_id"]]
    assert len(names) == 48
    pattern = re.compile("|".join(rf"(?<![\w-]){re.escape(name)}(?![\w-])" for name in names))
    for file in (reproduced / "index.html", *(reproduced / "data").iterdir()):
        text = re.sub(r"base64,[^\"]+|<script>.*?</script>", "", file.read_text(), flags=re.DOTALL)
        assert pattern.search(text) is None, file.name
        assert not re.search(r"\bnan\b|\binf\b", text, re.IGNORECASE), file.name
    for file in (reproduced / "files").rglob("*"):
        assert pattern.search(file.name) is None
    assert "SIMULATED DATA" in page
    assert "nothing can be learned" in page  # the statement of the reduced preset
    assert re.search(r"(src|href)=\"(?!data:|#|data/|files/)", page) is None
    captions = re.findall(r"<(?:figcaption|caption)>([^<]*)<", page)
    marked = [text for text in captions if "simulated" in text and "reduced preset" in text]
    assert len(marked) == len(captions) - 1  # all but the checklist
    assert "confirm" not in re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL).lower()


@pytest.mark.slow
def test_the_saliency_lies_on_the_grid_of_the_volume_as_read(reproduced: Path, tiny_hospital: Path) -> None:
    overlays = sorted((reproduced / "files" / "saliency").iterdir())
    assert [path.name for path in overlays] == [
        f"{grade}-{phase}.nii.gz" for grade in ("M0", "M1", "M2") for phase in ("hbp", "pre")
    ]
    affines = [nib.load(path).affine for path in (tiny_hospital / "internal" / "mri").glob("*/[PH]*.nii.gz")]
    for path in overlays:
        image = nib.load(path)
        assert b"SIMULATED" in bytes(image.header["descrip"])
        assert 0 <= image.get_fdata().min() <= image.get_fdata().max() <= 1
        assert any(np.allclose(image.affine, affine) for affine in affines)


@pytest.mark.slow
def test_again_it_trains_nothing_and_gives_the_same_bytes(
    reproduced: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("trains again")

    monkeypatch.setattr("hccfeat.reproduction.mvi.cells.make_cell", forbidden)
    before = {path: path.read_bytes() for path in reproduced.rglob("*") if path.is_file()}
    command = ["reproduce", "mvi", "--preset", "tiny", "--device", "cpu", "--study", str(reproduced.parents[1])]
    assert main(command) == 0
    assert {path: path.read_bytes() for path in reproduced.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_the_scores_are_rows_of_the_catalog_and_the_store_is_sound(reproduced: Path) -> None:
    study, run_id = reproduced.parents[1], reproduced.name
    rows = query(study, "SELECT * FROM metric WHERE run_id = ?", [run_id])
    assert set(rows["endpoint"]) == {"mvi_grade"}
    assert set(rows["split"]) == {"cross_validation"}
    assert {"macro_f1", "accuracy", "macro_ovo_auc", "auc_M2", "macro_ovo_auc_difference"} <= set(rows["metric"])
    assert set(TABLE1) | set(TABLE2) | {TEACHER, "clinical_logistic", "clinical_xgboost"} <= set(rows["model"])
    assert rows["method"].null_count() == 0
    settings = json.loads(query(study, "SELECT settings FROM run WHERE run_id = ?", [run_id])["settings"][0])
    assert (settings["paper"], settings["cohort"], settings["device"]) == ("mvi", "internal", "cpu")
    assert verify(study) == []


def test_items_without_networks_train_nothing(ingested: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("trains")

    monkeypatch.setattr("hccfeat.reproduction.mvi.context.run_cells", forbidden)
    request = MviRequest("tiny", only=("46", "Fig 1", "70", "72"), cohort="internal")
    run = reproduce_mvi(ingested, open_study(ingested).config, request)
    assert [built.item.number for built in run.items] == [46, 47, 70, 72]
    assert {built.status for built in run.items} == {"shown"}


def test_a_leak_stops_the_run(ingested: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def leaks(*_: object) -> None:
        raise LeakageError("a", "b", "c")

    monkeypatch.setattr("hccfeat.reproduction.mvi.context.run_cells", leaks)
    with pytest.raises(LeakageError):
        reproduce_mvi(ingested, open_study(ingested).config, MviRequest("tiny", only=("62",)))


def test_bad_input_is_told_before_anything_is_trained(
    ingested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("trains")

    monkeypatch.setattr("hccfeat.reproduction.mvi.context.run_cells", forbidden)
    config = open_study(ingested).config
    with pytest.raises(InputError, match=r"--cohort external: has no MRI exams \(cohorts with exams: internal\)"):
        reproduce_mvi(ingested, config, MviRequest("tiny", cohort="external"))
    with pytest.raises(InputError, match=r"--only 13.*48–55 \(Table 1\)"):
        reproduce_mvi(ingested, config, MviRequest("tiny", only=("13",)))
    with pytest.raises(ConfigError, match="Known presets: paper, reduced, tiny"):
        reproduce_mvi(ingested, config, MviRequest("huge"))
    with pytest.raises(InputError, match="has no MRI exam that can be read"):
        reproduce_mvi(init_study(tmp_path / "empty").folder, config, MviRequest("tiny"))
    study = tmp_path / "study"
    shutil.copytree(ingested, study)
    folder = study / "data_catalog" / "reproduction_mvi"
    folder.mkdir(parents=True)
    (folder / "many.toml").write_text(
        'name = "many"\ntitle = "many"\nreduced = true\nrecipe = "mri-tiny"\nfolds = 20\n'
    )
    with pytest.raises(AnalysisError, match=r"fewer patients than there are folds, 20 \(patients: M0 \d+"):
        reproduce_mvi(study, config, MviRequest("many"))


def test_options_of_the_other_paper_are_refused(ingested: Path) -> None:
    study = ["--study", str(ingested)]
    assert main(["reproduce", "mvi", "--external", "x", *study]) == 2
    assert main(["reproduce", "recurrence", "--cohort", "x", *study]) == 2

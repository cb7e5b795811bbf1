"""From the store to the analysis: folds by patient, nothing chosen by judges, and seen judges refused.

``predict`` is not among the refusals: it scores patients whose outcome nobody knows, so it judges nothing and its
risks enter no figure; that it takes nobody else is tested here.
"""

import shutil
from pathlib import Path

import polars as pl
import pytest

from hccfeat.analysis.load import Scope, load_endpoint
from hccfeat.analysis.modality_load import load_inputs
from hccfeat.errors import InputError, LeakageError
from hccfeat.extraction import feature_sets
from hccfeat.store.committer import Committer
from hccfeat.study import Study, open_study
from tests.analysis.modality_study import make_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_study(tmp_path_factory.mktemp("leaks") / "study", folds=True)


def roles(study: Study) -> pl.DataFrame:
    return study.sql("SELECT patient_id, role, fold FROM split ORDER BY patient_id")


def copy_of(study: Study, folder: Path) -> Study:
    return open_study(Path(shutil.copytree(study.folder, folder / "study")))


def with_seen(study: Study, folder: Path, feature_set: str, patient: str) -> Study:
    """A copy that records that a patient shaped an encoder."""
    copied = copy_of(study, folder)
    row = {"feature_set": feature_set, "patient_id": patient, "role": "stopped"}
    with Committer(copied.folder) as committer:
        committer.record("feature_sets", f"leak-{feature_set}", {"feature_set_patient": [row]})
        committer.publish()
    return copied


def test_folds_are_by_patient_and_their_encoders_saw_none_of_their_judges(study: Study) -> None:
    split = roles(study)
    assert split["patient_id"].n_unique() == split.height
    tests = set(split.filter(pl.col("role") == "test")["patient_id"])
    judged: list[str] = []
    for encoder in feature_sets.folds(study.folder, "pps"):
        data = load_endpoint(study.folder, study.config, "1y", Scope("internal", (), encoder), fold=encoder.fold)
        of = {
            role: set(data.patients.filter(pl.col("role") == role)["patient_id"]) for role in ("train", "held_out")
        }
        assert of["held_out"] == set(split.filter(pl.col("fold") == encoder.fold)["patient_id"])
        assert not of["held_out"] & of["train"]
        assert not of["held_out"] & data.seen
        assert not tests & (of["held_out"] | of["train"] | data.seen)
        judged += of["held_out"]
    assert sorted(judged) == sorted(split.filter(pl.col("role") == "train")["patient_id"])


def test_what_judges_have_recorded_chooses_no_variable(study: Study, tmp_path: Path) -> None:
    """A fifth of the rows must have a variable: those of the patients who train, whatever the judges have."""
    split = roles(study)
    judges = pl.col("patient_id").is_in(split.filter(pl.col("role") == "test")["patient_id"].to_list())
    few = pl.col("patient_id").is_in(split.filter(pl.col("role") == "train")["patient_id"][:10].to_list())
    copied = copy_of(study, tmp_path)
    table = copied.sql("SELECT * FROM clinical ORDER BY patient_id").with_columns(
        pl.when(~judges).then("afp"), pl.when(judges | few).then("alt")
    )
    assert table["alt"].count() > 0.2 * table.height
    columns = dict.fromkeys(("afp", "alt"), "DOUBLE")
    with Committer(copied.folder) as committer:
        committer.record(
            "ingest",
            "again",
            {"clinical": table.to_dicts()},
            about={"clinical_columns": columns},
            replaces={"clinical": {"cohort": "internal"}},
        )
        committer.publish()
    encoder = feature_sets.newest(study.folder, "pps")
    before, after = (
        load_endpoint(each.folder, each.config, "1y", Scope("internal", (), encoder)) for each in (study, copied)
    )
    assert {"afp", "alt"} <= set(before.indicator_names)
    assert after.indicator_names == [name for name in before.indicator_names if name != "alt"]
    items = [load_inputs(each.folder, data, [encoder])[-1] for each, data in ((study, before), (copied, after))]
    widths = [len(next(iter(found.vectors.values()))) for found in items]
    assert widths[1] == widths[0] - 1


@pytest.mark.parametrize("features", ["pps", ("mri", "pps")])
def test_analyze_refuses_a_judge_whom_an_encoder_has_seen(
    study: Study, tmp_path: Path, features: str | tuple[str, ...]
) -> None:
    judge = roles(study).filter(pl.col("role") == "test")["patient_id"][3]
    with pytest.raises(LeakageError, match="1 of"):
        with_seen(study, tmp_path, "pps-1", judge).analyze(("mvi",), features=features)


def test_analyze_by_folds_refuses_a_judge_whom_the_folds_encoder_has_seen(study: Study, tmp_path: Path) -> None:
    judge = roles(study).filter(pl.col("fold") == 2)["patient_id"][3]
    with pytest.raises(LeakageError, match="fold 2"):
        with_seen(study, tmp_path, "pps-1-fold2", judge).analyze(("mvi",), features="pps", cross_validate=True)


def test_predict_judges_nobody(study: Study) -> None:
    study.analyze(("mvi",), features="pps")
    assert study.sql("SELECT count(*) AS n FROM metric")["n"][0] > 0
    with pytest.raises(InputError, match="no patients without outcomes"):
        study.predict(model="pps-1-mvi")

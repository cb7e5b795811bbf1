"""Importing as a whole: a feature set like any other."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hccfeat.cli import main
from hccfeat.config import ImportedRecipe
from hccfeat.errors import InputError
from hccfeat.extraction import feature_sets
from hccfeat.store.catalog import query, rebuild, table_differences
from hccfeat.store.committer import Committer
from hccfeat.store.names import catalog_path
from hccfeat.store.verify import verify
from hccfeat.study import Study
from tests.exchange import writers as w

NAMES = ("i0", "i1", "i2", "i3", "e0", "e1")


def delivery(folder: Path, names: tuple[str, ...] = NAMES, **more: Any) -> Path:
    for number, name in enumerate(names):
        w.trident(folder, name, w.vectors(4 + number, seed=number), w.grid(4 + number), **more)
    return folder


def trident_file(folder: Path, name: str) -> Path:
    return folder / "20x_256px_0px_overlap" / "features_uni_v1" / f"{name}.h5"


def test_a_feature_set_like_any_other(study: Study, tmp_path: Path) -> None:
    summary = study.import_features([delivery(tmp_path / "t")], "trident", "uni")
    assert (summary.feature_set, summary.imported, summary.failures, summary.problems) == ("uni-1", 6, [], [])
    assert verify(study.folder, isolated=False) == []
    scan = study.scan("uni-1", ["internal/i1"]).collect()
    np.testing.assert_array_equal(scan["vector"].to_numpy(), w.vectors(5, seed=1))
    images = study.sql("SELECT image_id, patient_id, patches FROM image_uni ORDER BY image_id")
    assert images["patches"].to_list() == [8, 9, 4, 5, 6, 7]
    row = query(study.folder, "SELECT * FROM feature_set").to_dicts()[0]
    assert (row["encoder"], row["dim"], row["modality"], row["weights_sha256"]) == ("uni_v1", 8, "slide", None)
    recipe = json.loads(row["recipe"])
    assert (recipe["format"], recipe["coordinates"], recipe["seen"]) == ("trident", "level-0 pixels", [])
    with pytest.raises(InputError, match="was imported"):
        assert feature_sets.newest(study.folder, "uni").slide_recipe  # type: ignore[union-attr]
    before = tmp_path / "before.duckdb"
    before.write_bytes(catalog_path(study.folder).read_bytes())
    assert table_differences(before, rebuild(study.folder)) == []
    again = study.import_features([tmp_path / "t"], "trident", "uni")
    assert (again.feature_set, again.imported, again.already_done) == ("uni-1", 0, 6)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"format": "h5ad"}, False),
        ({"encoder": "other"}, False),
        ({"source_dtype": "float16"}, False),
        ({"coordinates": "micrometres"}, False),
        ({"content_sha256": "b" * 64}, False),
        ({"weights_sha256": "b" * 64}, False),
        ({"name": "another"}, True),
        ({"seen": ("internal",)}, True),
    ],
)
def test_what_makes_an_identity(change: dict[str, Any], same: bool) -> None:
    facts: dict[str, Any] = {"name": "uni", "format": "trident", "encoder": "uni_v1", "source_dtype": "float32"}
    recipe = ImportedRecipe(**facts, coordinates="level-0 pixels", content_sha256="a" * 64)
    assert (recipe.model_copy(update=change).identity(8) == recipe.identity(8)) is same
    assert recipe.identity(8) != recipe.identity(16)


def test_identity_is_content_or_declared_weights(study: Study, tmp_path: Path) -> None:
    delivery(tmp_path / "t", ("i0", "i1"))
    delivery(tmp_path / "u", ("i2",))
    assert study.import_features([tmp_path / "t"], "trident", "uni").feature_set == "uni-1"
    assert study.import_features([tmp_path / "u"], "trident", "uni").feature_set == "uni-2"
    added = study.import_features([tmp_path / "u"], "trident", "uni-1")
    assert (added.feature_set, added.imported) == ("uni-1", 1)
    declared = {"weights_sha256": "AB" * 32}
    assert study.import_features([tmp_path / "t"], "trident", "uni", **declared).feature_set == "uni-3"
    assert study.import_features([tmp_path / "u"], "trident", "uni", **declared).feature_set == "uni-3"
    with pytest.raises(InputError, match="declared with other weights"):
        study.import_features([tmp_path / "u"], "trident", "uni-1", **declared)
    with pytest.raises(InputError, match="--seen none, not internal"):
        study.import_features([tmp_path / "u"], "trident", "uni-1", seen=("internal",))


def test_vectors_are_never_replaced(study: Study, tmp_path: Path) -> None:
    declared = {"weights_sha256": "ab" * 32}
    delivery(tmp_path / "t", ("i0", "i1"))
    study.import_features([tmp_path / "t"], "trident", "uni", **declared)
    w.trident(tmp_path / "t", "i0", w.vectors(4, seed=9), w.grid(4))
    again = study.import_features([tmp_path / "t"], "trident", "uni", **declared)
    assert [failure.image_id for failure in again.failures] == ["internal/i0"]
    assert "is not the file that uni-1 has" in again.failures[0].message
    np.testing.assert_array_equal(
        study.scan("uni-1", ["internal/i0"]).collect()["vector"].to_numpy(), w.vectors(4, seed=0)
    )


def test_patients_who_join_a_seen_cohort_later(study: Study, tmp_path: Path) -> None:
    delivery(tmp_path / "t", ("i0",))
    arguments: dict[str, Any] = {"paths": [tmp_path / "t"], "layout": "trident", "features": "uni"}
    study.import_features(**arguments, seen=("external",))
    with Committer(study.folder) as committer:
        later = {"patient_id": "external/P900", "cohort": "external"}
        committer.record("ingest", "external", {"patient": [later]})
    study.import_features(**arguments, seen=("external",))
    seen = query(study.folder, "SELECT patient_id, role FROM feature_set_patient ORDER BY ALL").rows()
    assert seen == [(f"external/P{number}", "trained") for number in ("000", "001", "900")]


def test_one_bad_slide_never_stops_the_others(study: Study, tmp_path: Path) -> None:
    folder = delivery(tmp_path / "t")
    damaged = trident_file(folder, "i0")
    damaged.write_bytes(damaged.read_bytes()[:500])
    with h5py.File(trident_file(folder, "i1"), "a") as file:
        del file["coords"]
    w.trident(folder, "i2", w.vectors(3, dim=16), w.grid(3))
    w.trident(folder, "i3", w.vectors(3, dtype="float16"), w.grid(3))
    w.trident(folder, "e0", np.empty(0, np.float32), np.empty((0, 2), np.int64))
    w.trident(folder, "stranger", w.vectors(3), w.grid(3))
    arguments = ["import", str(folder), "--format", "trident", "--features", "uni", "--study", str(study.folder)]
    assert main(arguments) == 3
    failures = query(
        study.folder, "SELECT image_id, kind, message FROM extraction_failure ORDER BY image_id"
    ).rows()
    assert [(image, kind) for image, kind, _ in failures] == [
        ("internal/i0", "unreadable"), ("internal/i1", "incomplete"),
        ("internal/i2", "inconsistent"), ("internal/i3", "inconsistent"),
    ]  # fmt: skip
    assert "vectors of length 16, not 8" in failures[2][2]
    assert "numbers of type float16, not float32" in failures[3][2]
    shards = query(study.folder, "SELECT image_id, patches, status FROM shard ORDER BY image_id").rows()
    assert shards == [("external/e0", 0, "excluded"), ("external/e1", 9, "ok")]


def test_dry_run_and_report_of_names(study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    delivery(tmp_path / "t", ("i0", "i1", "nobody"))
    common = ["--format", "trident", "--features", "uni", "--study", str(study.folder)]
    assert main(["import", str(tmp_path / "t"), *common, "--dry-run"]) == 3
    shown = " ".join(capsys.readouterr().out.split())
    assert "2 images to import, 1 files without an image, 4 images without a file" in shown
    assert main(["import", str(tmp_path / "t"), *common, "--dry-run", "--json"]) == 3
    summary = json.loads(capsys.readouterr().out)
    assert (summary["todo"], summary["encoder"], summary["seen"]) == (2, "uni_v1", [])
    assert query(study.folder, "SELECT 1 FROM feature_set").is_empty()
    delivery(tmp_path / "x", ("nobody",))
    assert main(["import", str(tmp_path / "x"), *common]) == 1
    assert "files such as nobody, images such as external/e0" in capsys.readouterr().err


def test_clam_names_no_network(study: Study, tmp_path: Path) -> None:
    w.clam(tmp_path, "i0", w.vectors(4), w.grid(4))
    with pytest.raises(InputError, match="--encoder: is needed"):
        study.import_features([tmp_path], "clam", "resnet")
    summary = study.import_features([tmp_path], "clam", "resnet", encoder="resnet50_trunc")
    assert (summary.imported, summary.encoder) == (1, "resnet50_trunc")
    with pytest.raises(InputError, match="network resnet50_trunc, not another"):
        study.import_features([tmp_path], "clam", "resnet-1", encoder="another")


def test_a_declared_network_that_the_files_deny(study: Study, tmp_path: Path) -> None:
    delivery(tmp_path / "t", ("i0", "i1"))
    with pytest.raises(InputError, match=r"2 files: cannot be imported.*the network uni_v1, not conch"):
        study.import_features([tmp_path / "t"], "trident", "uni", encoder="conch")
    assert query(study.folder, "SELECT 1 FROM feature_set").is_empty()


def test_same_stem_in_two_folders(study: Study, tmp_path: Path) -> None:
    for stem, below in (("i0", "a"), ("i0", "b"), ("i1", "b")):
        w.stamp(tmp_path, stem, w.vectors(4), w.grid(4) * 0.25, below=below)
    summary = study.import_features([tmp_path], "stamp", "uni", dry_run=True)
    assert summary.todo == 1
    assert ["and so is" in problem["problem"] for problem in summary.problems] == [True, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cohorts": ("nowhere",)}, "--cohort nowhere: is not in the study"),
        ({"seen": ("nowhere",)}, "--seen nowhere: is not in the study"),
        ({"seen": ("none", "internal")}, "--seen none: is not in the study"),
        ({"weights_sha256": "abc"}, "is no SHA-256"),
        ({"features": "Not A Name"}, "is no name"),
        ({"features": "uni-7"}, "looks like a version"),
        ({"coords": Path("patches")}, "--coords patches: is for CLAM"),
        ({"paths": [Path("/nowhere")]}, "/nowhere: does not exist"),
    ],
)
def test_wrong_options(study: Study, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    delivery(tmp_path / "t", ("i0",))
    given: dict[str, Any] = {"paths": [tmp_path / "t"], "layout": "trident", "features": "uni", **options}
    with pytest.raises(InputError, match=message):
        study.import_features(**given)


def test_missing_places_can_be_allowed(study: Study, tmp_path: Path) -> None:
    w.clam(tmp_path, "i0", w.vectors(4), w.grid(4), parts=["pt_files"])
    options: dict[str, Any] = {"encoder": "resnet50"}
    assert study.import_features([tmp_path], "clam", "resnet", allow_missing=True, **options).imported == 1
    refused = study.export(tmp_path / "out", "trident", features=("resnet",))
    assert "without coordinates" in refused.failures[0]["problem"]
    assert verify(study.folder, isolated=False) == []
    assert len(study.import_features([tmp_path], "clam", "other", **options).failures) == 1

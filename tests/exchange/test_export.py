"""Exporting as a whole, and back."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hccfeat.cli import main
from hccfeat.errors import InputError
from hccfeat.store.catalog import query
from hccfeat.store.committer import Committer
from hccfeat.store.shards import write_shard
from hccfeat.study import Study
from tests.exchange import readers as r
from tests.exchange import writers as w
from tests.store.builder import add_feature_set, shard


def vectors_of(study: Study, feature_set: str) -> list[tuple[Any, ...]]:
    return study.scan(feature_set).sort("image_id", "y", "x").collect().rows()


@pytest.mark.parametrize("layout", ["clam", "trident", "stamp", "h5ad", "parquet"])
def test_out_and_back(full: Study, tmp_path: Path, layout: Any) -> None:
    if layout == "h5ad":
        pytest.importorskip("anndata", exc_type=ImportError)
    target = tmp_path / ("one.parquet" if layout == "parquet" else layout)
    options = {} if layout == "parquet" else {"dtype": "float32"}
    summary = full.export(target, layout, **options)
    assert (summary.feature_set, summary.slides, summary.patches, summary.failures) == ("pps-1", 4, 15, [])
    encoder = "pps-1" if layout == "clam" else None
    back = full.import_features([target], layout, "back", encoder=encoder)
    assert (back.imported, back.empty, back.failures, back.problems) == (4, 1, [], [])
    assert vectors_of(full, "back-1") == vectors_of(full, "pps-1")
    sizes = query(
        full.folder, "SELECT image_id, patches, status FROM shard WHERE feature_set = ? ORDER BY ALL", ["back-1"]
    )
    assert sizes.rows()[3] == ("internal/i2", 0, "excluded")


def test_tables_beside_the_features(full: Study, tmp_path: Path) -> None:
    full.export(tmp_path / "stamp", "stamp", cohorts=("internal",))
    assert (tmp_path / "stamp" / "slide_table.csv").read_text() == (
        "PATIENT,FILENAME\nP000,internal/i0.h5\nP001,internal/i1.h5\nP002,internal/i2.h5\n"
    )
    feats, _, _ = r.stamp_reader(tmp_path / "stamp" / "pps-1" / "internal" / "i0.h5", (2, 1, 0))
    assert feats.dtype == np.float16
    full.export(tmp_path / "clam", "clam", cohorts=("external",))
    assert (tmp_path / "clam" / "process_list_autogen.csv").read_text() == (
        "slide_id,process,status\ne0,0,processed\n"
    )


def test_a_damaged_shard_does_not_stop_the_others(
    full: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = full.folder / "features" / "pps-1" / "internal" / "i0.h5"
    path.write_bytes(path.read_bytes()[:-100])
    arguments = ["export", str(tmp_path / "out"), "--format", "trident", "--study", str(full.folder)]
    assert main([*arguments, "--json"]) == 3
    summary = json.loads(capsys.readouterr().out)
    assert summary["slides"] == 3
    assert summary["failures"][0]["entity"] == str(path)
    assert main(arguments) == 3
    assert "pps-1: 3 slides (9 patches) in" in capsys.readouterr().out


def test_twins_of_two_cohorts(full: Study, tmp_path: Path) -> None:
    with Committer(full.folder) as committer:
        committer.adopt([write_shard(full.folder, shard("external/i0", 3))])
    summary = full.export(tmp_path / "out", "clam")
    assert [failure["entity"] for failure in summary.failures] == ["external/i0", "internal/i0"]
    assert "--cohort" in summary.failures[0]["remedy"]
    assert full.export(tmp_path / "stamp", "stamp").failures == []


def test_an_imported_network_keeps_its_name(study: Study, tmp_path: Path) -> None:
    made = w.trident(tmp_path / "t", "i0", w.vectors(4), w.grid(4))
    with h5py.File(made, "a") as file:
        file["features"].attrs["encoder"] = "hf-hub:group/uni"
    study.import_features([tmp_path / "t"], "trident", "uni")
    study.export(tmp_path / "out", "trident", features=("uni",))
    out = tmp_path / "out" / "20x_256px_0px_overlap" / "features_hf-hub_group_uni" / "i0.h5"
    _, coords, attributes = r.trident_reader(out)
    np.testing.assert_array_equal(coords, w.grid(4))
    assert attributes["encoder"] == "hf-hub:group/uni"
    for name, value in {**w.TRIDENT_COORDS, "savetodir": attributes["savetodir"]}.items():
        assert attributes[name] == value


def test_the_whole_catalog_as_parquet(full: Study, tmp_path: Path) -> None:
    import polars as pl

    summary = full.export(tmp_path / "tables", "parquet")
    assert summary.tables["image_vector"] == 3
    found = pl.read_parquet(tmp_path / "tables" / "image_vector" / "**" / "*.parquet", hive_partitioning=True)
    assert set(found["cohort"]) == {"internal", "external"}
    assert set(found["feature_set"]) == {"pps-1"}


@pytest.mark.parametrize(
    ("layout", "options", "message"),
    [
        ("trident", {"features": ("nothing",)}, "feature set nothing"),
        ("trident", {"cohorts": ("nowhere",)}, "--cohort nowhere"),
        ("trident", {"features": ("pps-1", "pps")}, "second feature set"),
        ("trident", {"patches": True}, "--patches"),
        ("stamp", {"stamp_version": "newest"}, "--stamp-version newest"),
        ("geojson", {"what": "risk"}, "weights"),
    ],
)
def test_wrong_options(full: Study, tmp_path: Path, layout: Any, options: dict[str, Any], message: str) -> None:
    from hccfeat.errors import HccfeatError

    with pytest.raises(HccfeatError, match=message):
        full.export(tmp_path / "out", layout, **options)


def test_the_stores_own_folders_are_no_destination(full: Study) -> None:
    for name in ("features", "records", "models", ".hccfeat"):
        with pytest.raises(InputError, match="belongs to the store"):
            full.export(full.folder / name / "x", "trident")


def test_exams_are_no_patches(full: Study, tmp_path: Path) -> None:
    with Committer(full.folder) as committer:
        add_feature_set(committer, "mri-1", modality="mri")
        committer.adopt([write_shard(full.folder, shard("internal/P000-mri", 1, feature_set="mri-1"))])
    with pytest.raises(InputError, match="is of MRI exams"):
        full.export(tmp_path / "out", "trident", features=("mri",))
    assert full.export(tmp_path / "mri.parquet", "parquet", features=("mri",)).slides == 1

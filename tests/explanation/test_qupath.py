"""Tissue and risk as GeoJSON over the slide."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hccfeat.cli import main
from hccfeat.explanation.annotations import read_annotations
from hccfeat.explanation.qupath import tissue_geojson
from hccfeat.store.catalog import query
from hccfeat.study import open_study


def area(ring: NDArray[np.float64]) -> float:
    x, y = ring.T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


def test_pieces_with_holes() -> None:
    mask = np.zeros((20, 30), bool)
    mask[2:10, 3:15] = True
    mask[4:7, 6:10] = False  # a hole
    mask[15, 20] = mask[16, 21] = True  # one piece over a corner
    found = tissue_geojson(mask, np.array([10.0, 20.0]), simulated=True)
    first, second = found["features"]
    assert first["properties"]["classification"]["name"] == "Tissue (simulated)"
    assert first["properties"]["objectType"] == "annotation"
    outer, hole = (np.array(ring) for ring in first["geometry"]["coordinates"])
    assert (outer[0] == outer[-1]).all()
    assert (outer.min(axis=0) == [30, 40]).all()
    assert (outer.max(axis=0) == [150, 200]).all()
    assert (hole.min(axis=0) == [60, 80]).all()
    assert (hole.max(axis=0) == [100, 140]).all()
    assert area(outer) > 0 > area(hole)
    tissue = area(outer) + area(hole)
    assert tissue == pytest.approx((8 * 12 - 3 * 4) * 200, rel=0.02)  # corners are cut
    assert len(second["geometry"]["coordinates"]) == 1


def test_no_tissue_is_an_empty_collection() -> None:
    assert tissue_geojson(np.zeros((5, 5), bool), np.ones(2))["features"] == []


def test_tissue_of_a_study(ingested_study: Path, tmp_path: Path) -> None:
    study = shutil.copytree(ingested_study, tmp_path / "study")
    target = tmp_path / "outlines"
    arguments = ["export", str(target), "--format", "geojson", "--study", str(study), "--cohort", "external"]
    assert main(arguments) == 0
    images = query(study, "SELECT image_id, width, height FROM image WHERE cohort = 'external' ORDER BY image_id")
    files = sorted(path.relative_to(target).as_posix() for path in target.rglob("*.geojson"))
    assert files == [f"{image_id}.geojson" for image_id in images["image_id"]]
    outlined = 0
    for image_id, width, height in images.rows():
        pieces = read_annotations(target / f"{image_id}.geojson")
        for ring in (ring for piece in pieces for ring in piece.rings):
            assert ring.min() >= 0
            assert (ring.max(axis=0) <= [width, height]).all()
            outlined += 1
    assert outlined >= len(files)


def test_risk_of_a_study(extracted_study: Path, tmp_path: Path) -> None:
    study = open_study(shutil.copytree(extracted_study, tmp_path / "study"))
    summary = study.export(tmp_path / "risk", "geojson", what="risk", cohorts=("external",))
    assert (summary.feature_set, summary.failures) == ("pps-1", [])
    shards = query(
        study.folder,
        "SELECT image_id, patches FROM shard WHERE feature_set = 'pps-1' AND image_id LIKE 'external/%' ORDER BY 1",
    )
    for image_id, patches in shards.rows():
        found = json.loads((tmp_path / "risk" / f"{image_id}.geojson").read_text())
        assert len(found["features"]) == patches
        for feature in found["features"]:
            assert 0 <= feature["properties"]["measurements"]["recurrence risk"] <= 1
            assert feature["properties"]["classification"]["name"].endswith("(simulated)")

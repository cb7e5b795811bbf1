"""GeoJSON and TIFF of a risk map, read back by another reader."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from hccfeat.explanation.annotations import read_annotations
from hccfeat.explanation.files import MEASUREMENT, risk_geojson, write_geojson, write_overlay
from hccfeat.explanation.riskmap import COLOURS, HIGH, LOW, RiskMap
from hccfeat.slides.readers import inspect
from hccfeat.units import Level0Px, MicronsPerPx


def make(corners: list[tuple[int, int]], risks: list[float], side: int, size: tuple[int, int]) -> RiskMap:
    return RiskMap(
        np.array(corners, np.int64).reshape(-1, 2),
        Level0Px(side),
        np.array(risks, np.float32),
        Level0Px(size[0]),
        Level0Px(size[1]),
        MicronsPerPx(0.25),
    )


cells = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 60), st.floats(0, 1, width=32)),
    max_size=12,
    unique_by=lambda cell: cell[:2],
)


@settings(deadline=None, max_examples=40)
@given(cells, st.integers(1, 500), st.sampled_from([0.5, 0.6, 0.7, 0.8]))
def test_geojson_reads_back_as_the_same_map(
    found: list[tuple[int, int, float]], side: int, threshold: float
) -> None:
    risk = make([(x * side, y * side) for x, y, _ in found], [p for _, _, p in found], side, (61 * side, 61 * side))
    parsed = json.loads(json.dumps(risk_geojson(risk, threshold, simulated=True)))
    assert parsed["type"] == "FeatureCollection"
    assert parsed["hccfeat"]["simulated"] is True
    assert len(parsed["features"]) == len(found)
    for feature, corner, probability, kind in zip(
        parsed["features"], risk.coords, risk.probability, risk.classes(threshold), strict=True
    ):
        (ring,) = feature["geometry"]["coordinates"]
        points = np.array(ring)
        assert feature["type"] == "Feature"
        assert feature["geometry"]["type"] == "Polygon"
        assert len(ring) == 5
        assert ring[0] == ring[-1]
        area = 0.5 * sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring))
        assert area == side * side  # positive: counterclockwise, as RFC 7946 asks of outer rings
        assert (points.min(axis=0) == corner).all()
        assert (points.max(axis=0) == corner + side).all()
        about = feature["properties"]
        assert about["objectType"] == "detection"
        assert about["classification"]["color"] == list(COLOURS[int(kind)])
        assert about["classification"]["name"].endswith("(simulated)")
        assert np.float32(about["measurements"][MEASUREMENT]) == probability


def test_geojson_file_is_deterministic_and_readable_as_annotations(tmp_path: Path) -> None:
    risk = make([(0, 0), (64, 0)], [0.9, 0.1], 64, (200, 100))
    for name in ("a", "b"):
        write_geojson(tmp_path / f"{name}.geojson", risk, 0.6)
    assert (tmp_path / "a.geojson").read_bytes() == (tmp_path / "b.geojson").read_bytes()
    high, low = read_annotations(tmp_path / "a.geojson")
    assert (high.name, low.name) == ("high risk", "low risk")
    assert (high.colour, low.colour) == (COLOURS[HIGH], COLOURS[LOW])
    assert low.rings[0].min(axis=0).tolist() == [64, 0]


@pytest.mark.parametrize("factor", [1, 4])
def test_overlay_opens_in_openslide_with_the_slides_geometry(tmp_path: Path, factor: int) -> None:
    width, height = 2600, 1700
    risk = make([(0, 0), (1280, 640)], [1.0, 0.0], 320, (width, height))
    small = np.full((round(height / factor), round(width / factor), 3), 240, np.uint8)
    path = tmp_path / "overlay.tif"
    write_overlay(path, risk, small, factor)
    with openslide.OpenSlide(path) as slide:
        assert slide.dimensions == (round(width / factor), round(height / factor))
        assert slide.level_count > 1 or factor == 4
        assert float(slide.properties[openslide.PROPERTY_NAME_MPP_X]) == pytest.approx(0.25 * factor, rel=1e-3)
        high = np.asarray(slide.read_region((160 // factor, 160 // factor), 0, (4, 4)).convert("RGB"))
        low = np.asarray(slide.read_region((1440 // factor, 800 // factor), 0, (4, 4)).convert("RGB"))
        glass = np.asarray(slide.read_region((2000 // factor, 1500 // factor), 0, (4, 4)).convert("RGB"))
    assert high[..., 0].min() > high[..., 2].max()
    assert low[..., 2].min() > low[..., 0].max()
    assert (glass == 240).all()
    with tifffile.TiffFile(path) as tiff:
        assert tiff.pages[0].is_tiled
    assert inspect(path).mpp == pytest.approx(0.25 * factor, rel=1e-3)


def test_overlay_of_simulated_data_says_so(tmp_path: Path) -> None:
    risk = make([], [], 100, (900, 600))
    slide = np.full((600, 900, 3), 240, np.uint8)
    write_overlay(tmp_path / "a.tif", risk, slide, 1, simulated=True)
    write_overlay(tmp_path / "b.tif", risk, slide, 1)
    marked, plain = (tifffile.imread(tmp_path / name, key=0) for name in ("a.tif", "b.tif"))
    assert (plain == 240).all()
    assert (marked == (163, 42, 0)).all(axis=2).sum() > 100

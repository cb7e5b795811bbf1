"""GeoJSON annotations as QuPath's versions write them, and malformed ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hccfeat.errors import InputError
from hccfeat.explanation.annotations import COLOURS, draw_outlines, read_annotations

SQUARE = [[10, 10], [90, 10], [90, 90], [10, 90], [10, 10]]


def feature(geometry: Any, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "id": "PathAnnotationObject", "geometry": geometry, "properties": properties}


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def written(folder: Path, content: Any) -> Path:
    path = folder / "P1.geojson"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("shape", ["collection", "list", "single"])
def test_each_way_to_hold_features(tmp_path: Path, shape: str) -> None:
    one = feature(polygon(SQUARE), classification={"name": "Tumor", "color": [200, 0, 0]})
    content = {"collection": {"type": "FeatureCollection", "features": [one]}, "list": [one], "single": one}
    (found,) = read_annotations(written(tmp_path, content[shape]))
    assert (found.name, found.colour) == ("Tumor", (200, 0, 0))
    np.testing.assert_array_equal(found.rings[0], SQUARE)


def test_names_and_colours_of_old_and_new_versions(tmp_path: Path) -> None:
    content = [
        feature(polygon(SQUARE), classification={"name": "Stroma", "colorRGB": -6895466}),
        feature(polygon(SQUARE), classification={"names": ["Tumor", "Positive"], "color": [1, 2, 3]}),
        feature(polygon(SQUARE), name="by hand", color=[9, 8, 7]),
        feature(polygon(SQUARE)),
        feature(polygon(SQUARE), classification=None),
    ]
    found = read_annotations(written(tmp_path, content))
    assert [(one.name, one.colour) for one in found[:3]] == [
        ("Stroma", (150, 200, 150)),
        ("Tumor: Positive", (1, 2, 3)),
        ("by hand", (9, 8, 7)),
    ]
    assert [one.name for one in found[3:]] == ["annotation", "annotation"]
    assert found[3].colour == COLOURS[3]


def test_holes_many_polygons_open_rings_and_points(tmp_path: Path) -> None:
    hole = [[20, 20], [30, 20], [30, 30], [20, 20]]
    content = [
        feature(polygon(SQUARE, hole)),
        feature({"type": "MultiPolygon", "coordinates": [[SQUARE[:-1]], [hole]]}),
        feature({"type": "GeometryCollection", "geometries": [polygon(SQUARE)]}),
        feature({"type": "Point", "coordinates": [1, 2]}),
        feature(None),
    ]
    found = read_annotations(written(tmp_path, content))
    assert [len(one.rings) for one in found] == [2, 2, 1]
    assert all((ring[0] == ring[-1]).all() for one in found for ring in one.rings)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not readable as GeoJSON"),
        ('{"type": "FeatureCollection"}', "no list of features"),
        ("3", "no list of features"),
        ([feature(polygon(SQUARE)), {"type": "Feature"}], "feature 2: lacks 'geometry'"),
        ([feature({"type": "Polygon"})], "feature 1: lacks 'coordinates'"),
        ([feature(polygon([[1, 2], [3, 4]]))], "feature 1: is malformed .*three points"),
        ([feature(polygon([["a", 2], [3, 4], [5, 6]]))], "feature 1: is malformed"),
        ([feature(polygon(SQUARE), classification={"name": "x", "color": [300, 0, 0]})], "not within 0 to 255"),
        ([feature(polygon(SQUARE), classification={"name": "x", "color": [1, 2]})], "feature 1: is malformed"),
        (["feature"], "feature 1: is malformed"),
        ([feature(polygon(SQUARE), classification="Tumor")], "feature 1: is malformed"),
    ],
)
def test_malformed_files_name_file_and_feature(tmp_path: Path, content: Any, words: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputError, match=words) as caught:
        read_annotations(path)
    assert "P1.geojson" in caught.value.entity


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not readable"):
        read_annotations(tmp_path / "none.geojson")


def test_outlines_are_drawn_at_the_pictures_scale(tmp_path: Path) -> None:
    (one,) = read_annotations(written(tmp_path, [feature(polygon(SQUARE), color=[0, 0, 255])]))
    picture = np.asarray(draw_outlines(np.full((60, 60, 3), 128, np.uint8), [one], 0.5))
    assert (picture[5, 25] == (0, 0, 255)).all()
    assert (picture[25, 25] == 128).all()
    assert (picture[55, 55] == 128).all()

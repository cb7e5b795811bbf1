"""Items 16, 17 and 38 on the tiny study: what they show, and whom."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import polars as pl
import pytest
from PIL import Image

from hccfeat.errors import AnalysisError, LeakageError
from hccfeat.reproduction.blocks import Block, Download, Note, Picture, Table
from hccfeat.reproduction.items.explanation import ITEMS
from hccfeat.reproduction.items.judged_patches import judged_patches, of_most_patients, pixels
from hccfeat.reproduction.items.risk_maps import classes_threshold
from hccfeat.reproduction.presets import load_preset
from hccfeat.store.catalog import query
from hccfeat.store.shards import read_shard, shard_path
from tests.reproduction.items.test_baseline import light_context

BUILD = {item.number: item.build for item in ITEMS}


@pytest.fixture(scope="module")
def context(extracted_study: Path) -> Any:
    made = light_context(extracted_study)
    made.preset, made.simulated, made.external = load_preset("tiny"), True, "external"
    return made


@pytest.fixture(scope="module")
def blocks(context: Any) -> dict[int, list[Block]]:
    return {number: build(context) for number, build in BUILD.items()}


def of(blocks: list[Block], kind: type) -> list[Any]:
    return [block for block in blocks if isinstance(block, kind)]


def test_the_items_are_those_of_the_checklist() -> None:
    assert [(item.number, item.where) for item in ITEMS] == [(16, "Fig 3A"), (17, "Fig 3B-C"), (38, "S5")]


def test_no_block_names_a_patient_or_an_image(context: Any, blocks: dict[int, list[Block]]) -> None:
    ids = query(context.study, "SELECT patient_id FROM patient")["patient_id"].to_list()
    stems = {patient.split("/")[1] for patient in ids}
    words = []
    for block in (block for item in blocks.values() for block in item):
        if isinstance(block, Table):
            words += [block.caption, json.dumps([str(row) for row in block.rows]), json.dumps(block.data)]
        elif isinstance(block, Download):
            words += [block.name, block.about]
        else:
            words.append(block.text if isinstance(block, Note) else block.caption)
    said = " ".join(words)
    assert not [stem for stem in stems if stem in said]
    assert "NaN" not in said


def test_grad_cam_shows_both_outcomes(blocks: dict[int, list[Block]]) -> None:
    pictures = of(blocks[16], Picture)
    assert len(pictures) == 2
    assert "Patients with recurrence" in pictures[0].caption
    assert "Patients with no recurrence" in pictures[1].caption
    for picture in pictures:
        assert Image.open(io.BytesIO(picture.image)).size[0] > 300


def test_risk_maps_hold_every_usable_patch_of_an_external_slide(
    context: Any, blocks: dict[int, list[Block]], tmp_path: Path
) -> None:
    (table,) = of(blocks[17], Table)
    downloads = of(blocks[17], Download)
    assert len(of(blocks[17], Picture)) == 4
    assert [Path(d.name).suffix for d in downloads] == [".geojson", ".tif"] * 2
    assert len({d.name for d in downloads}) == 4
    stored = {
        row["quick_sha256"][:12]: read_shard(shard_path(context.study, "pps-1", row["image_id"]))
        for row in query(context.study, "SELECT * FROM image WHERE cohort = 'external'").to_dicts()
    }
    for download in downloads:
        download.write(tmp_path / download.name)
    for row in table.data:
        assert row["high"] + row["between"] + row["low"] == row["patches"]
    for geojson, tif in zip(downloads[::2], downloads[1::2], strict=True):
        shard = stored[Path(geojson.name).stem.split("-")[-1]]
        features = json.loads((tmp_path / geojson.name).read_text())["features"]
        corners = {tuple(feature["geometry"]["coordinates"][0][0]) for feature in features}
        sampled = {tuple(corner) for corner in shard.coords.tolist()}
        skipped = {
            tuple(corner)
            for corner, status in zip(shard.skipped_coords.tolist(), shard.skipped_status, strict=True)
            if status != 5
        }
        assert sampled < corners, "the map holds more than the sample"
        assert not skipped & corners, "what quality control left out is not drawn"
        with openslide.OpenSlide(tmp_path / tif.name) as slide:
            assert slide.dimensions == (640, 640)
            assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5, rel=1e-3)


def test_newly_read_patches_have_the_risk_that_sampling_would_have_given(context: Any) -> None:
    """The stored patches, read again as if they had been left out, get their stored risk."""
    from hccfeat.explanation.whole_slide import risks_of_unsampled
    from hccfeat.reproduction.items.judged_patches import encoder_of, prepared, source_of
    from hccfeat.slides.readers import open_slide
    from hccfeat.units import Level0Px

    patches = judged_patches(context, "external")
    image_id = patches["image_id"][0]
    mine = patches.filter(pl.col("image_id") == image_id)
    image, source = prepared(context, image_id), source_of(context, image_id)
    judged = np.concatenate([image.coords, image.skipped_coords[image.skipped_status != 5]])
    with open_slide(Path(source.path), source.mpp_override) as slide:
        coords, risks = risks_of_unsampled(
            slide,
            judged,
            Level0Px(image.patch_size_level0),
            image.stain,
            context.feature_set.recipe,
            encoder_of(context),
        )
    np.testing.assert_array_equal(coords, image.coords)
    np.testing.assert_allclose(risks, mine["probability"].to_numpy(), rtol=1e-5)


def test_channels_are_ranked_beside_the_printed_ones(blocks: dict[int, list[Block]]) -> None:
    (table,) = of(blocks[38], Table)
    assert {column.key for column in table.columns} >= {"channel", "weight", "sd", "printed", "difference"}
    weights = [row["weight_of_mean"] for row in table.data]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] > 1 > weights[-1]
    assert table.data[0]["patients"] > 1
    assert any("cannot be compared" in note.text for note in of(blocks[38], Note))


def test_an_encoder_without_attention_has_its_feature_maps_only(
    context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hccfeat.models import create

    monkeypatch.setattr(
        "hccfeat.reproduction.items.explanation.encoder_of", lambda _: create("resnet18", input_px=64).eval()
    )
    found = BUILD[38](context)
    assert len(of(found, Picture)) == 1
    assert any("has no CSA module" in note.text for note in of(found, Note))
    assert not of(found, Table)


def test_without_an_external_cohort_held_out_slides_are_mapped(context: Any) -> None:
    from types import SimpleNamespace

    alone = SimpleNamespace(**{**vars(context), "external": None})
    (table,) = of(BUILD[17](alone), Table)
    assert {row["outcome"] for row in table.data} <= {"recurrence", "no recurrence"}


def test_patients_that_the_encoder_saw_are_never_shown(context: Any) -> None:
    from dataclasses import replace
    from types import SimpleNamespace

    data = context.data("final")
    shown = judged_patches(context, "held_out")["patient_id"][0]
    leaky = SimpleNamespace(**{**vars(context), "data": lambda _: replace(data, seen={*data.seen, shown})})
    with pytest.raises(LeakageError):
        BUILD[16](leaky)


def test_annotations_are_drawn_and_a_malformed_file_is_said(
    context: Any, blocks: dict[int, list[Block]], tmp_path: Path
) -> None:
    from types import SimpleNamespace

    study = tmp_path / "study"
    shutil.copytree(context.study, study)
    other = SimpleNamespace(**{**vars(context), "study": study})
    folder = study / "annotations" / "external"
    folder.mkdir(parents=True)
    square = [[40, 40], [600, 40], [600, 600], [40, 600], [40, 40]]
    geometry = {"type": "Polygon", "coordinates": [square]}
    about = {"classification": {"name": "Tumour", "color": [0, 158, 115]}}
    good = json.dumps([{"type": "Feature", "geometry": geometry, "properties": about}])
    images = sorted(set(judged_patches(context, "external")["image_id"]))
    for image_id in images:
        (study / "annotations" / f"{image_id}.geojson").write_text(good)
    drawn = of(BUILD[17](other), Picture)
    assert "1 annotated region outlined" in drawn[0].caption
    assert drawn[0].image != of(blocks[17], Picture)[0].image
    for image_id in images:
        (study / "annotations" / f"{image_id}.geojson").write_text('[{"type": "Feature"}]')
    cautions = [note.text for note in of(BUILD[17](other), Note) if note.level == "caution"]
    assert len(cautions) == 2
    assert all("feature 1: lacks 'geometry'" in text for text in cautions)
    assert not any(image_id.split("/")[1] in text for image_id in images for text in cautions)


def test_a_slide_that_is_gone_is_not_named(context: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hccfeat.errors import FailureKind, SlideError

    def gone(*_: object, **__: object) -> None:
        raise SlideError(FailureKind.UNREADABLE, "external/E0001", "is gone", "Find it.")

    monkeypatch.setattr("hccfeat.reproduction.items.judged_patches.prepared_image", gone)
    notes = [note.text for note in of(BUILD[17](context), Note) if note.level == "caution"]
    assert len(notes) == 2
    assert not any("E0001" in text for text in notes)
    with pytest.raises(AnalysisError, match="a slide of a judged patient"):
        pixels(context, judged_patches(context, "held_out").head(1))


def test_extreme_patches_come_from_as_many_patients_as_can_be() -> None:
    frame = pl.DataFrame(
        {
            "image_id": ["a/1", "a/1", "a/1", "a/2", "a/3"],
            "patient_id": ["x", "x", "x", "y", "z"],
            "row": [0, 1, 2, 0, 0],
            "probability": [0.9, 0.8, 0.7, 0.6, 0.1],
        }
    )
    assert of_most_patients(frame, 3, highest=True)["probability"].to_list() == [0.9, 0.6, 0.1]
    assert of_most_patients(frame, 4, highest=True)["probability"].to_list() == [0.9, 0.8, 0.6, 0.1]
    assert of_most_patients(frame, 2, highest=False)["probability"].to_list() == [0.1, 0.6]


def test_the_classes_of_the_geojson_leave_patches_between() -> None:
    assert classes_threshold((0.5, 0.6, 0.7, 0.8)) == 0.6
    assert classes_threshold((0.5,)) == 0.5

"""Reading files as the three tools write them, and refusing damaged or unknown ones by name."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hccfeat.errors import InputError, SlideError
from hccfeat.exchange import clam, stamp, trident
from hccfeat.exchange.bag import FoundFile
from hccfeat.exchange.placing import Image, place
from tests.exchange import writers as w

IMAGE = Image("internal/s", 0.25, "override", 4000, 3000)


def only(found: list[FoundFile]) -> FoundFile:
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32"])
@pytest.mark.parametrize("coords_dtype", ["int32", "int64", "float32"])
def test_trident(tmp_path: Path, dtype: str, coords_dtype: str) -> None:
    vectors = (w.vectors(7) * 10).astype(dtype)
    w.trident(tmp_path, "s", vectors, w.grid(7).astype(coords_dtype), level0_magnification="None")
    file = only(trident.find(tmp_path))
    assert file.name == "s"
    facts = trident.facts(file)
    assert (facts.dim, facts.dtype, facts.encoder) == (8, dtype, "uni_v1")
    bag = trident.read(file)
    assert bag.vectors.dtype == np.float32
    np.testing.assert_array_equal(bag.vectors, vectors.astype(np.float32))
    assert bag.coords is not None
    np.testing.assert_array_equal(bag.coords, w.grid(7))
    assert bag.attributes["patch_size_level0"] == 512
    assert "level0_magnification" not in bag.attributes


def test_trident_takes_job_patch_and_feature_folders(tmp_path: Path) -> None:
    path = w.trident(tmp_path, "s", w.vectors(2), w.grid(2))
    for folder in (tmp_path, path.parents[1], path.parent, path):
        assert only(trident.find(folder)).path == path
    w.trident(tmp_path, "s", w.vectors(2), w.grid(2), encoder="conch_v15")
    with pytest.raises(InputError, match=r"several.*features_conch_v15.*features_uni_v1"):
        trident.find(tmp_path)


@pytest.mark.parametrize("shape", [(0, 8), (0,)])
def test_trident_without_tissue(tmp_path: Path, shape: tuple[int, ...]) -> None:
    w.trident(tmp_path, "s", np.empty(shape, np.float32), np.empty((0, 2), np.int64))
    file = only(trident.find(tmp_path))
    assert trident.facts(file).dim == (8 if len(shape) == 2 else None)
    placed = place(trident.read(file), IMAGE, file.path, 8)
    assert placed.vectors.shape == (0, 8)
    assert placed.coords.shape == (0, 2)
    assert placed.attributes["status"] == "excluded"


def test_trident_float_patch_size_and_swapped_files(tmp_path: Path) -> None:
    w.trident(tmp_path, "s", w.vectors(2), w.grid(2), patch_size_level0=511.5)
    bag = trident.read(only(trident.find(tmp_path)))
    assert bag.attributes["patch_size_level0"] == 511.5
    path = w.trident(tmp_path, "s", w.vectors(2), w.grid(2))
    path.rename(path.with_name("t.h5"))
    with pytest.raises(SlideError, match="of slide s: files were swapped"):
        trident.read(only(trident.find(tmp_path)))


def test_clam_footprint_follows_the_level(tmp_path: Path) -> None:
    w.clam(tmp_path, "s", w.vectors(5), w.grid(5))
    bag = clam.read(only(clam.find(tmp_path)))
    assert bag.attributes == {
        "patch_size": 256, "patch_level": 1, "level_downsample": 2.0, "patch_size_level0": 512,
    }  # fmt: skip
    np.testing.assert_array_equal(bag.vectors, w.vectors(5))


def test_clam_pt_needs_its_patches_for_places(tmp_path: Path) -> None:
    features, patches = tmp_path / "features", tmp_path / "elsewhere"
    w.clam(features, "s", w.vectors(5), w.grid(5), parts=["pt_files"])
    w.clam(patches, "s", w.vectors(5), w.grid(5), parts=["patches"])
    lonely = clam.read(only(clam.find(features)))
    assert lonely.coords is None
    with pytest.raises(SlideError, match="does not say where its patches lie"):
        place(lonely, IMAGE, features, 8)
    unknown = place(lonely, IMAGE, features, 8, allow_missing=True)
    assert unknown.attributes["coords_known"] == 0
    assert (unknown.coords == -1).all()
    file = only(clam.find(features / "pt_files", patches / "patches"))
    np.testing.assert_array_equal(clam.read(file).coords, w.grid(5))
    assert clam.facts(file).dim == 8


def test_clam_coordinates_that_contradict_each_other(tmp_path: Path) -> None:
    w.clam(tmp_path, "s", w.vectors(5), w.grid(5), parts=["h5_files"])
    w.clam(tmp_path, "s", w.vectors(5), w.grid(5) + 1, parts=["patches"])
    with pytest.raises(SlideError, match="other coordinates than"):
        clam.read(only(clam.find(tmp_path)))
    w.clam(tmp_path, "s", w.vectors(4), w.grid(4), parts=["patches"])
    with pytest.raises(SlideError, match=r"\(4, 2\) for 5 vectors"):
        clam.read(only(clam.find(tmp_path)))


def test_clam_pt_executes_nothing(tmp_path: Path) -> None:
    import torch

    (tmp_path / "pt_files").mkdir()
    torch.save({"features": torch.zeros(3, 8), "path": Path("x")}, tmp_path / "pt_files" / "s.pt")
    with pytest.raises(SlideError, match=r"s\.pt: cannot be read"):
        clam.read(only(clam.find(tmp_path)))
    torch.save([torch.zeros(3, 8)], tmp_path / "pt_files" / "s.pt")
    with pytest.raises(SlideError, match=r"s\.pt: holds list"):
        clam.read(only(clam.find(tmp_path)))
    torch.save(torch.ones(3, 8, dtype=torch.bfloat16), tmp_path / "pt_files" / "s.pt")
    assert clam.read(only(clam.find(tmp_path))).vectors.shape == (3, 8)


def test_stamp_is_in_micrometres_and_in_no_order(tmp_path: Path) -> None:
    w.stamp(tmp_path, "s", w.vectors(7, dtype="float16"), w.grid(7) * 0.25, below="a/b")
    file = only(stamp.find(tmp_path))
    assert (stamp.facts(file).encoder, stamp.facts(file).dtype) == ("uni", "float16")
    placed = place(stamp.read(file), IMAGE, file.path, 8)
    np.testing.assert_array_equal(placed.coords, w.grid(7))
    np.testing.assert_array_equal(placed.vectors, w.vectors(7, dtype="float16").astype(np.float32))
    assert placed.attributes["patch_size_level0"] == 1024
    assert placed.attributes["patch_size"] == 224
    with pytest.raises(SlideError, match="micrometres per pixel of internal/s are not known"):
        place(stamp.read(file), Image("internal/s", None, None, None, None), file.path, 8)


@pytest.mark.parametrize("version", ["2.0.0", "2.1.0"])
def test_stamp_names_of_the_tile_size(tmp_path: Path, version: str) -> None:
    w.stamp(tmp_path, "s", w.vectors(3), w.grid(3) * 0.25, version=version)
    assert stamp.read(only(stamp.find(tmp_path))).attributes["tile_size_um"] == 256


def test_old_stamp_counts_pixels_of_224_per_256_um(tmp_path: Path) -> None:
    gone = {"unit": None, "tile_size_um": None}
    w.stamp(tmp_path, "s", w.vectors(6), w.grid(6, step=224), **gone)
    bag = stamp.read(only(stamp.find(tmp_path)))
    assert bag.coords is not None
    assert sorted(set(bag.coords[:, 0])) == [0, 256, 512, 768]
    w.stamp(tmp_path, "s", w.vectors(6), w.grid(6, step=300), **gone)
    with pytest.raises(SlideError, match="does not state its unit"):
        stamp.read(only(stamp.find(tmp_path)))
    w.stamp(tmp_path, "s", w.vectors(6), w.grid(6), unit="mm")
    with pytest.raises(SlideError, match="coordinates in mm"):
        stamp.read(only(stamp.find(tmp_path)))


def test_stamp_of_whole_slides_is_refused(tmp_path: Path) -> None:
    w.stamp(tmp_path, "s", w.vectors(3), w.grid(3), feat_type="patient")
    with pytest.raises(SlideError, match="features of a patient, not of tiles"):
        stamp.read(only(stamp.find(tmp_path)))


def test_stamp_multiplex_has_no_places(tmp_path: Path) -> None:
    path = w.stamp(tmp_path, "s", w.vectors(3), None)
    with h5py.File(path, "a") as file:
        file.move("feats", "patch_embeddings")
    assert stamp.read(only(stamp.find(tmp_path))).coords is None


def broken(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "other":
        path.write_text("<html>502 Bad Gateway</html>")
    else:
        edits: dict[str, Any] = {
            "no features": None,
            "nan": np.full((3, 8), np.nan, np.float32),
            "text": np.array([[b"a"] * 8] * 3),
            "slide level": np.ones(8, np.float32),
            "rank 3": np.ones((3, 8, 2), np.float32),
            "too many": np.ones((4, 8), np.float32),
            "huge integers": np.full((3, 8), 2**30, np.int64),
        }
        with h5py.File(path, "a") as file:
            del file["features"]
            if edits[how] is not None:
                file["features"] = edits[how]


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("cut", "cannot be read"),
        ("empty", "cannot be read"),
        ("other", "cannot be read"),
        ("no features", r"has no dataset features \(it holds coords\)"),
        ("nan", "NaN, infinite"),
        ("text", "no real numbers"),
        ("slide level", "whole slide, not of patches"),
        ("rank 3", r"shape \(3, 8, 2\)"),
        ("too many", r"\(3, 2\) for 4 vectors"),
        ("huge integers", "too large for float32"),
    ],
)
def test_damage_names_the_file(tmp_path: Path, how: str, problem: str) -> None:
    path = w.trident(tmp_path, "s", w.vectors(3), w.grid(3))
    broken(path, how)
    with pytest.raises(SlideError, match=problem) as caught:
        trident.read(only(trident.find(tmp_path)))
    assert caught.value.entity == str(path)
    assert caught.value.remedy.endswith(".")


@pytest.mark.parametrize(
    ("coords", "problem"),
    [
        (w.grid(3) + 0.5, "no whole pixels"),
        (w.grid(3) * 100, "has patches at x = 102400, the slide has 4000 pixels"),
        (w.grid(3) - [0, 256], "has patches at y = -256, outside the slide"),
        (np.full((3, 2), np.nan), "coordinates that are NaN"),
    ],
)
def test_places_that_cannot_be(tmp_path: Path, coords: np.ndarray, problem: str) -> None:
    path = w.trident(tmp_path, "s", w.vectors(3), coords)
    with pytest.raises(SlideError, match=problem):
        place(trident.read(FoundFile("s", path)), IMAGE, path, 8)


def test_another_slides_size_is_refused(tmp_path: Path) -> None:
    path = w.trident(tmp_path, "s", w.vectors(3), w.grid(3), level0_width=4001)
    with pytest.raises(SlideError, match="level0_width 4001, internal/s has 4000"):
        place(trident.read(FoundFile("s", path)), IMAGE, path, 8)


@pytest.mark.parametrize("module", [clam, trident, stamp])
def test_an_empty_folder_says_what_is_wanted(tmp_path: Path, module: Any) -> None:
    with pytest.raises(InputError, match=r"formats\.md"):
        module.find(tmp_path)

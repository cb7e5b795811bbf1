"""What is written opens in other tools' readers and comes back as it was."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hccfeat.errors import InputError, SlideError
from hccfeat.exchange import anndata_files, clam, parquet_files, stamp, trident
from hccfeat.exchange.bag import FoundFile
from hccfeat.exchange.exported import Exported
from hccfeat.exchange.placing import Image, place
from hccfeat.store.shards import Shard, write_shard
from tests.exchange import readers as r
from tests.exchange import writers as w

IMAGE = Image("internal/s", 0.25, "override", 60_000, 60_000)
ATTRIBUTES: dict[str, Any] = {
    "status": "ok", "reason": "", "patch_size": 224, "patch_size_level0": 448, "target_mpp": 0.5, "mpp": 0.25,
    "level0_width": 60_000, "level0_height": 60_000,
}  # fmt: skip


def shard(vectors: np.ndarray, coords: np.ndarray, **attributes: Any) -> Shard:
    none = np.empty((0, 2), np.int64)
    known = {name: value for name, value in {**ATTRIBUTES, **attributes}.items() if value is not None}
    return Shard("internal/s", "pps-1", "a" * 64, vectors, coords, none, np.empty(0, np.uint8), known)


def exported(vectors: np.ndarray, coords: np.ndarray, mpp: float | None = 0.25, **attributes: Any) -> Exported:
    return Exported(shard(vectors, coords, mpp=mpp, **attributes), "internal/P000", "pps-1", mpp)


def test_native_shard_opens_in_a_trident_reader(tmp_path: Path) -> None:
    info = write_shard(tmp_path, shard(w.vectors(5), w.grid(5, step=448)))
    features, coords, attributes = r.trident_reader(tmp_path / info.path)
    np.testing.assert_array_equal(features, w.vectors(5))
    np.testing.assert_array_equal(r.trident_corner_on_target(attributes, coords)[:4, 0], [0, 1, 2, 3])
    assert attributes == {
        "patch_size": 224, "patch_size_level0": 448, "level0_magnification": 40, "target_magnification": 20,
        "overlap": 0, "level0_width": 60_000, "level0_height": 60_000, "name": "s", "savetodir": None,
        "encoder": "pps-1",
    }  # fmt: skip
    bag = trident.read(trident.find(tmp_path / info.path)[0])
    np.testing.assert_array_equal(bag.vectors, w.vectors(5))


def test_trident(tmp_path: Path) -> None:
    target = trident.write(tmp_path, exported(w.vectors(5), w.grid(5)), "float16")
    assert target == tmp_path / "20x_224px_0px_overlap" / "features_pps-1" / "s.h5"
    features, coords, attributes = r.trident_reader(target)
    assert features.dtype == np.float16
    np.testing.assert_array_equal(features, w.vectors(5).astype(np.float16))
    np.testing.assert_array_equal(coords, w.grid(5))
    assert (attributes["target_magnification"], attributes["mpp"]) == (20, 0.25)
    assert (tmp_path / "20x_224px_0px_overlap" / "patches" / "s_patches.h5").is_file()


def test_trident_does_not_hide_the_resolution(tmp_path: Path) -> None:
    """0.23 and 0.29 um per pixel are both 40x to TRIDENT."""
    known = [
        r.trident_reader(trident.write(tmp_path / str(mpp), exported(w.vectors(2), w.grid(2), mpp), "float32"))[2]
        for mpp in (0.23, 0.29)
    ]
    assert [one["level0_magnification"] for one in known] == [40, 40]
    assert [one["mpp"] for one in known] == [0.23, 0.29]


def test_clam(tmp_path: Path) -> None:
    clam.write(tmp_path, exported(w.vectors(5), w.grid(5)), "float32")
    features, tensor, coords, side = r.clam_reader(tmp_path, "s")
    np.testing.assert_array_equal(features, w.vectors(5))
    np.testing.assert_array_equal(tensor, w.vectors(5))
    np.testing.assert_array_equal(coords, w.grid(5))
    assert side == 448


def test_clam_keeps_level_and_leaves_out_an_unknown_patch(tmp_path: Path) -> None:
    level = {"patch_size": 256, "patch_level": 1, "level_downsample": 2.0, "patch_size_level0": 512}
    clam.write(tmp_path / "a", exported(w.vectors(5), w.grid(5), **level), "float32")
    assert r.clam_reader(tmp_path / "a", "s")[3] == 512
    clam.write(tmp_path / "b", exported(w.vectors(5), w.grid(5), patch_size_level0=None), "float32")
    assert not (tmp_path / "b" / "patches").exists()


@pytest.mark.parametrize(
    ("version", "installed"), [("2.1.0", (2, 3, 0)), ("2.0.0", (2, 0, 0)), ("2.3.0", (2, 3, 0))]
)
def test_stamp(tmp_path: Path, version: str, installed: tuple[int, ...]) -> None:
    target = stamp.write(tmp_path, exported(w.vectors(5), w.grid(5)), "float16", version)
    assert target == tmp_path / "pps-1" / "internal" / "s.h5"
    feats, coords, side = r.stamp_reader(target, installed)
    assert (feats.dtype, coords.dtype, side) == (np.float16, np.float32, 112.0)
    np.testing.assert_array_equal(coords, w.grid(5) * 0.25)


def test_stamp_refuses_what_it_cannot_say(tmp_path: Path) -> None:
    newer = stamp.write(tmp_path, exported(w.vectors(2), w.grid(2)), "float16", "2.4.0")
    with pytest.raises(RuntimeError, match="written by STAMP"):
        r.stamp_reader(newer, (2, 3, 0))
    with pytest.raises(SlideError, match="micrometres per pixel not known"):
        stamp.write(tmp_path, exported(w.vectors(2), w.grid(2), None), "float16")
    with pytest.raises(SlideError, match="size of a patch"):
        stamp.write(tmp_path, exported(w.vectors(2), w.grid(2), patch_size_level0=None), "float16")
    with pytest.raises(InputError, match="is no version"):
        stamp.parse_version("two")


def test_large_numbers_and_lost_places_are_refused(tmp_path: Path) -> None:
    large = exported(np.full((2, 8), 1e6, np.float32), w.grid(2))
    with pytest.raises(SlideError, match="too large for float16"):
        trident.write(tmp_path, large, "float16")
    lost = exported(w.vectors(2), np.full((2, 2), -1), coords_known=0)
    for module in (trident, clam, stamp):
        with pytest.raises(SlideError, match="imported without coordinates"):
            module.write(tmp_path, lost, "float32")
    assert not list(tmp_path.rglob("*.h5"))


@pytest.mark.parametrize("module", [trident, clam, stamp, anndata_files])
def test_equal_inputs_give_equal_bytes(tmp_path: Path, module: Any) -> None:
    if module is anndata_files:
        pytest.importorskip("anndata", exc_type=ImportError)
    made: list[list[bytes]] = []
    for name in ("a", "b"):
        module.write(tmp_path / name, exported(w.vectors(40), w.grid(40)), "float32")
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        made.append([path.read_bytes() for path in files])
    assert made[0] == made[1]


FLOATS = st.floats(-1000, 1000, width=16)


@st.composite
def slides(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, float]:
    """Vectors that float16 holds, distinct corners inside the slide in row order, and a resolution."""
    rows = draw(st.integers(0, 40))
    vectors = draw(hnp.arrays(np.float32, (rows, draw(st.integers(1, 9))), elements=FLOATS))
    places = draw(
        st.lists(
            st.tuples(st.integers(0, 59_999), st.integers(0, 59_999)), min_size=rows, max_size=rows, unique=True
        )
    )
    coords = np.array(sorted(places, key=lambda place: (place[1], place[0])), np.int64).reshape(rows, 2)
    return vectors, coords, draw(st.floats(0.1, 2.0))


def come_back(module: Any, slide: Exported, folder: Path, mpp: float, dim: int, dtype: str) -> Any:
    module.write(folder, slide, dtype)
    file = next(iter(module.find(folder)))
    assert module.facts(file).dim == dim
    image = Image("internal/s", mpp, "override", 60_000, 60_000)
    return place(module.read(file), image, file.path, dim)


@pytest.mark.parametrize("module", [trident, clam, stamp])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made=slides(), dtype=st.sampled_from(["float16", "float32"]))
def test_round_trip(module: Any, dtype: str, made: tuple[np.ndarray, np.ndarray, float]) -> None:
    vectors, coords, mpp = made
    with tempfile.TemporaryDirectory() as folder:
        slide = exported(vectors, coords, mpp)
        placed = come_back(module, slide, Path(folder), mpp, vectors.shape[1], dtype)
    np.testing.assert_array_equal(placed.vectors, vectors)
    np.testing.assert_array_equal(placed.coords, coords)
    if len(vectors):
        assert placed.attributes["patch_size_level0"] == 448


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made=slides())
def test_stamp_of_another_writer_round_trip(made: tuple[np.ndarray, np.ndarray, float]) -> None:
    """Micrometres as float32 lead back to the exact pixel, in whatever order the rows are."""
    vectors, coords, mpp = made
    with tempfile.TemporaryDirectory() as name:
        w.stamp(Path(name), "s", vectors.astype(np.float16), coords * mpp, seed=len(coords))
        file = stamp.find(Path(name))[0]
        image = Image("internal/s", mpp, "override", 60_000, 60_000)
        placed = place(stamp.read(file), image, file.path, vectors.shape[1])
    np.testing.assert_array_equal(placed.vectors, vectors)
    np.testing.assert_array_equal(placed.coords, coords)


def test_anndata_round_trip(tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata", exc_type=ImportError)
    target = anndata_files.write(tmp_path, exported(w.vectors(6), w.grid(6)), "float32")
    data = anndata.read_h5ad(target)
    assert data.shape == (6, 8)
    assert list(data.obs.columns) == ["image_id", "patient_id", "cohort", "x", "y"]
    assert set(data.obs["patient_id"]) == {"internal/P000"}
    np.testing.assert_array_equal(data.obsm["spatial"], w.grid(6))
    file = anndata_files.find(tmp_path)[0]
    assert anndata_files.facts(file).encoder == "pps-1"
    placed = place(anndata_files.read(file), IMAGE, file.path, 8)
    np.testing.assert_array_equal(placed.vectors, w.vectors(6))
    np.testing.assert_array_equal(placed.coords, w.grid(6))
    assert placed.attributes["patch_size"] == 224


@pytest.mark.parametrize("rows", [0, 3])
def test_anndata_of_others(tmp_path: Path, rows: int) -> None:
    anndata = pytest.importorskip("anndata", exc_type=ImportError)
    data = anndata.AnnData(w.vectors(rows, dtype="float16"))
    data.obs["x"], data.obs["y"] = w.grid(rows).T
    data.write_h5ad(tmp_path / "s.h5ad")
    file = anndata_files.find(tmp_path)[0]
    assert anndata_files.facts(file).encoder is None
    placed = place(anndata_files.read(file), IMAGE, file.path, 8)
    np.testing.assert_array_equal(placed.coords, w.grid(rows))
    data.uns["hccfeat"] = {"attributes": "{no json"}
    data.write_h5ad(tmp_path / "s.h5ad")
    with pytest.raises(SlideError, match="attributes that are not JSON"):
        anndata_files.read(file)
    (tmp_path / "s.h5ad").write_bytes((tmp_path / "s.h5ad").read_bytes()[:1000])
    with pytest.raises(SlideError, match=r"s\.h5ad: cannot be read"):
        anndata_files.read(file)


def test_parquet_round_trip(tmp_path: Path) -> None:
    import polars as pl

    path = tmp_path / "one.parquet"
    one = exported(w.vectors(6), w.grid(6))
    empty = Exported(Shard(**{**vars(shard(w.vectors(0), w.grid(0))), "image_id": "internal/t"}), "", "pps-1", 0.25)
    lost = Exported(
        Shard(**{**vars(shard(w.vectors(3), np.full((3, 2), -1), coords_known=0)), "image_id": "internal/u"}),
        "", "pps-1", 0.25,
    )  # fmt: skip
    parquet_files.write(path, [one, empty, lost], {"encoder": "pps-1", "feature_set": "pps-1"}, 8)
    frame = pl.read_parquet(path)
    assert frame.schema["vector"] == pl.Array(pl.Float32, 8)
    assert frame["x"].null_count() == 3
    found = {file.name: file for file in parquet_files.find(path)}
    assert list(found) == ["internal/s", "internal/u", "internal/t"]
    assert parquet_files.facts(found["internal/s"]).encoder == "pps-1"
    np.testing.assert_array_equal(parquet_files.read(found["internal/s"]).vectors, w.vectors(6))
    np.testing.assert_array_equal(parquet_files.read(found["internal/s"]).coords, w.grid(6))
    assert parquet_files.read(found["internal/u"]).coords is None
    assert len(parquet_files.read(found["internal/t"]).vectors) == 0


def test_parquet_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import polars as pl

    path = tmp_path / "one.parquet"
    frame = pl.DataFrame(
        {
            "image_id": ["s"] * 3 + ["t"] * 2,
            "x": list(range(5)),
            "y": list(range(5)),
            "vector": [[float(k), 1.0] for k in range(5)],
        }
    )
    frame.write_parquet(path, row_group_size=2)
    second = parquet_files.find(path)[1]
    assert second == FoundFile("t", path, rows=(3, 5))
    assert parquet_files.facts(second).dim == 2
    np.testing.assert_array_equal(parquet_files.read(second).vectors, [[3, 1], [4, 1]])
    frame.reverse().vstack(frame).write_parquet(path)
    with pytest.raises(InputError, match="rows of each image together"):
        parquet_files.find(path)
    frame.drop("vector").write_parquet(path)
    with pytest.raises(InputError, match="lacks the column vector"):
        parquet_files.find(path)
    path.write_bytes(b"PAR1")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        parquet_files.find(path)
    broken = tmp_path / "ragged.parquet"
    pl.DataFrame({"image_id": ["s", "s"], "x": [0, 1], "y": [0, 0], "vector": [[1.0], [1.0, 2.0]]}).write_parquet(
        broken
    )
    with pytest.raises(SlideError, match="missing or of another length"):
        parquet_files.read(parquet_files.find(broken)[0])

"""Image- and patient-level frames agree with the patches they come from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hccfeat.errors import StoreError
from hccfeat.features.frames import image_frame, patient_frame, stream_image_frame
from hccfeat.store.catalog import query
from hccfeat.store.committer import Committer
from hccfeat.store.names import image_table
from hccfeat.store.shards import read_shard, write_shard
from tests.store.builder import add_feature_set, ingest, shard


def test_streamed_means_equal_the_materialised_ones(extracted_study: Path) -> None:
    stored = image_frame(extracted_study, "pps-1")
    streamed = stream_image_frame(extracted_study, "pps-1", batch_rows=7)
    assert streamed["image_id"].to_list() == stored["image_id"].to_list()
    assert streamed["patches"].to_list() == stored["patches"].to_list()
    np.testing.assert_allclose(streamed["mean"].to_numpy(), stored["mean"].to_numpy(), rtol=2e-6)
    np.testing.assert_allclose(streamed["sd"].to_numpy(), stored["sd"].to_numpy(), rtol=1e-4, atol=1e-7)


def test_means_equal_the_shards(extracted_study: Path) -> None:
    row = image_frame(extracted_study, "pps-1").row(0, named=True)
    path = query(extracted_study, "SELECT path FROM shard WHERE image_id = ?", [row["image_id"]])["path"][0]
    vectors = read_shard(extracted_study / path).vectors
    np.testing.assert_allclose(row["mean"], vectors.astype(np.float64).mean(axis=0), rtol=2e-6)
    assert row["patches"] == len(vectors)


def test_each_image_counts_once_in_a_patient(extracted_study: Path) -> None:
    images = image_frame(extracted_study, "pps-1")
    patients = patient_frame(extracted_study, "pps-1")
    assert patients["images"].sum() == images.height
    several = patients.filter(patients["images"] > 1).row(0, named=True)
    own = images.filter(images["patient_id"] == several["patient_id"])
    np.testing.assert_allclose(several["mean"], own["mean"].to_numpy().astype(np.float64).mean(axis=0), rtol=2e-6)


def test_streaming_some_images_only(extracted_study: Path) -> None:
    wanted = image_frame(extracted_study, "pps-1")["image_id"].to_list()[2:4]
    assert stream_image_frame(extracted_study, "pps-1", wanted)["image_id"].to_list() == wanted


def test_table_names_follow_the_feature_set() -> None:
    assert image_table("pps-1") == "image_vector_pps_1"


@pytest.mark.parametrize("offset", [0.0, 1e4, -3e6])
def test_streamed_spreads_are_those_of_the_float32_vectors(tmp_path: Path, offset: float) -> None:
    """Float64 sums lose less than the rounding of the vectors, also far from zero and over several blocks."""
    sizes = {"internal/P000_1": 1, "internal/P000_2": 700, "internal/P001_1": 5000}
    known = {}
    with Committer(tmp_path) as committer:
        ingest(committer)
        add_feature_set(committer)
        for image_id, rows in sizes.items():
            made = shard(image_id, rows)
            made = replace(made, vectors=(made.vectors + np.float32(offset)).astype(np.float32))
            known[image_id] = made.vectors.astype(np.float64)
            committer.adopt([write_shard(tmp_path, made)])
    frame = stream_image_frame(tmp_path, "pps-1", list(sizes))
    assert dict(zip(frame["image_id"], frame["patches"], strict=True)) == sizes
    for row in frame.iter_rows(named=True):
        vectors = known[row["image_id"]]
        np.testing.assert_allclose(row["mean"], vectors.mean(axis=0), rtol=1e-12)
        step = float(np.spacing(np.float32(max(abs(offset), 1))))
        np.testing.assert_allclose(row["sd"], vectors.std(axis=0), atol=step / 4)


def test_streaming_nothing(tmp_path: Path) -> None:
    with Committer(tmp_path) as committer:
        add_feature_set(committer)
    frame = stream_image_frame(tmp_path, "pps-1")
    assert frame.is_empty()
    assert frame.schema["mean"] == pl.Array(pl.Float64, 8)
    with pytest.raises(StoreError, match="Known feature sets: pps-1"):
        stream_image_frame(tmp_path, "pps-2")

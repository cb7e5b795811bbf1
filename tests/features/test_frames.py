"""Image- and patient-level frames agree with the patches they come from."""

from pathlib import Path

import numpy as np

from hccfeat.features.frames import image_frame, patient_frame, stream_image_frame
from hccfeat.store.catalog import query
from hccfeat.store.names import image_table
from hccfeat.store.shards import read_shard


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

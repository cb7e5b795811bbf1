"""Stored vectors as torch datasets."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch.utils.data import DataLoader

from hccfeat import open_study
from hccfeat.errors import InputError, StoreError
from hccfeat.store.committer import Committer
from hccfeat.store.create import create_study
from hccfeat.store.scan import scan_patches
from hccfeat.study import Study
from tests.store.builder import add_feature_set, image_ids, ingest, publish_shards


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = create_study(tmp_path_factory.mktemp("dataset") / "study", recipe="tiny")
    with Committer(folder) as committer:
        ingest(committer)
        for name in ("pps-1", "pps-2"):
            add_feature_set(committer, name)
            ids = image_ids()
            committer.adopt(publish_shards(folder, ids[:-1], feature_set=name))
            committer.adopt(publish_shards(folder, ids[-1:], feature_set=name, n=0))
    return open_study(folder)


def everything(opened: Study) -> pl.DataFrame:
    return scan_patches(opened.folder, "pps-2").collect()


def test_a_bare_name_is_the_newest_version(opened: Study) -> None:
    assert opened.scan("pps").collect().equals(everything(opened))
    assert opened.scan("pps-1", ["internal/P001_1"]).collect().height == 6
    assert opened.dataset("pps").feature_set == "pps-2"
    assert opened.dataset("pps-1", level="image").feature_set == "pps-1"
    for ask in (opened.scan, opened.dataset):
        with pytest.raises(StoreError, match="Known feature sets: pps-1, pps-2"):
            ask("nonsense")
    with pytest.raises(InputError, match="patch or image"):
        opened.dataset("pps", level="slide")  # type: ignore[arg-type]


def test_patches_equal_the_scan(opened: Study) -> None:
    dataset, frame = opened.dataset("pps"), everything(opened)
    assert len(dataset) == frame.height == 54
    for index in (0, 5, 6, 53, -1):
        item, row = dataset[index], frame.row(index, named=True)
        assert (item["image_id"], item["x"], item["y"]) == (row["image_id"], row["x"], row["y"])
        np.testing.assert_array_equal(item["vector"].numpy(), row["vector"])
    batch = dataset.__getitems__([50, 1, 1, 0])
    np.testing.assert_array_equal(
        torch.stack([item["vector"] for item in batch]).numpy(), frame["vector"].to_numpy()[[50, 1, 1, 0]]
    )
    with pytest.raises(IndexError):
        dataset[54]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the test's own choice, for its speed
@pytest.mark.parametrize("level", ["patch", "image"])
def test_two_workers_give_what_one_process_gives(opened: Study, level: str) -> None:
    dataset = opened.dataset("pps", level=level)  # type: ignore[arg-type]
    dataset[0]  # opens a file here first
    loader = DataLoader(dataset, batch_size=10, num_workers=2, multiprocessing_context="fork")
    batches = list(loader)
    ids = [image for batch in batches for image in batch["image_id"]]
    vectors = torch.cat([batch["vector"] for batch in batches])
    items = [dataset[index] for index in range(len(dataset))]
    assert ids == [item["image_id"] for item in items]
    assert vectors.dtype == torch.float32
    assert torch.equal(vectors, torch.stack([item["vector"] for item in items]))


def test_images(opened: Study) -> None:
    dataset = opened.dataset("pps", level="image")
    frame = opened.sql("SELECT image_id, patient_id, cohort, patches, mean FROM image_pps ORDER BY image_id")
    assert len(dataset) == frame.height == 9
    assert {k: v for k, v in dataset[3].items() if k != "vector"} == frame.drop("mean").row(3, named=True)
    np.testing.assert_array_equal(dataset[3]["vector"].numpy(), frame["mean"][3].to_numpy())


def test_only_some_images(opened: Study) -> None:
    ids = ["internal/P001_1", "internal/P003_2", "internal/absent"]
    for level, length in (("patch", 12), ("image", 2)):
        dataset = opened.dataset("pps", level=level, image_ids=ids)  # type: ignore[arg-type]
        assert len(dataset) == length
        assert dataset.image_ids == ids[:2]
        assert dataset[length - 1]["image_id"] == ids[1]
        assert len(opened.dataset("pps", level=level, image_ids=[])) == 0  # type: ignore[arg-type]


def test_a_missing_shard_is_named(opened: Study, tmp_path: Path) -> None:
    dataset = opened.dataset("pps")
    path = opened.folder / "features" / "pps-2" / "internal" / "P000_1.h5"
    path.rename(tmp_path / "away.h5")
    with pytest.raises(StoreError, match="hccfeat verify"):
        dataset[0]
    (tmp_path / "away.h5").rename(path)
    assert dataset[0]["image_id"] == "internal/P000_1"

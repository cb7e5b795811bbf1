"""A study with slides and no features of its own, shared; the catalog knows size and resolution of each slide."""

import shutil
from pathlib import Path

import pytest

from hccfeat.store.committer import Committer
from hccfeat.store.shards import write_shard
from hccfeat.study import Study, init_study, open_study
from tests.store.builder import CLINICAL, add_feature_set, cohort_tables, shard

WIDTH, HEIGHT, MPP = 4000, 3000, 0.25


@pytest.fixture(scope="session")
def slides_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exchange") / "study"
    init_study(folder, name="exchange", recipe="tiny", mri_recipe="mri-tiny")
    with Committer(folder) as committer:
        for cohort, patients in (("internal", 4), ("external", 2)):
            tables = cohort_tables(cohort, patients, images=1)
            for number, row in enumerate(tables["image"]):
                row["image_id"] = f"{cohort}/{cohort[0]}{number}"
                row |= {"width": WIDTH, "height": HEIGHT, "mpp": MPP, "mpp_source": "openslide.mpp-x"}
            committer.record("ingest", cohort, tables, about={"clinical_columns": CLINICAL})
    return folder


@pytest.fixture(scope="session")
def full_study(tmp_path_factory: pytest.TempPathFactory, slides_study: Path) -> Path:
    folder = shutil.copytree(slides_study, tmp_path_factory.mktemp("full") / "study")
    with Committer(folder) as committer:
        add_feature_set(committer)
        rows = {"internal/i0": 6, "internal/i1": 4, "internal/i2": 0, "external/e0": 5}
        committer.adopt([write_shard(folder, shard(image_id, n)) for image_id, n in rows.items()])
    return folder


@pytest.fixture
def full(tmp_path: Path, full_study: Path) -> Study:
    """A study of its own with feature set pps-1 of four slides, one of them empty."""
    return open_study(shutil.copytree(full_study, tmp_path / "study"))


@pytest.fixture
def study(tmp_path: Path, slides_study: Path) -> Study:
    """A study of its own: images internal/i0 ... i3 and external/e0, e1."""
    return open_study(shutil.copytree(slides_study, tmp_path / "study"))

"""Fixtures shared by all tests."""

import os
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

# One thread per test process: two of them fill the usual two cores, and threads that wait for each other on a busy
# machine would take most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "reference"


SHARED = {
    "pipeline": re.compile(r"\b(tiny_hospital|ingested_study|extracted_study|mri_study)\b"),
    "report pages": re.compile(r"\b(full|written): "),
}
"""Files that name one of these fixtures run in one process, which then makes the fixture once."""


ROOM_GB = 2
"""Free disk that a whole run needs for its studies: 1.1 GB at its fullest."""


def pytest_sessionstart() -> None:
    """A full disk fails hundreds of tests at places that do not say so; it is said at once instead."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free / 1e9
    if free < ROOM_GB:
        pytest.exit(f"tests need {ROOM_GB} GB of free disk, {folder} has {free:.1f}: make room or set TMPDIR", 1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests of a file stay together, and so do the files that share a fixture of the session."""
    from xdist.scheduler import LoadScopeScheduling

    @cache
    def scope(file: str) -> str:
        text = (config.rootpath / file).read_text(encoding="utf-8")
        return next((name for name, fixtures in SHARED.items() if fixtures.search(text)), file)

    class ByFixture(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope(nodeid.split("::", 1)[0])

    return ByFixture(config, log)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real files, or a skip that says why."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"the real data folder {REAL_DATA.name} is not beside the checkout")
    return REAL_DATA


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of reference values from R and SPAMS, or a skip that says why."""
    if not REFERENCE.is_dir():
        pytest.skip("the reference values are not beside the checkout")
    return REFERENCE


@pytest.fixture(autouse=True)
def _quiet_progress() -> None:
    from hccfeat.progress import set_quiet

    set_quiet(True)


@pytest.fixture(scope="session")
def tiny_hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated delivery of the preset tiny; read it, do not change it."""
    from hccfeat.simulation.deliver import simulate

    destination = tmp_path_factory.mktemp("delivery") / "hospital"
    simulate(destination, "tiny", 5)
    return destination


def ingest_all(study: Path, hospital: Path, cohorts: tuple[str, ...] = ("internal", "external")) -> None:
    """Make a study of a delivery."""
    from hccfeat.study import init_study

    opened = init_study(study, name="tiny", recipe="tiny", mri_recipe="mri-tiny")
    for cohort in cohorts:
        folder = hospital / cohort
        summary = opened.ingest(cohort, folder / "clinical.csv", **delivered(folder))
        assert summary.problems == []


def delivered(folder: Path) -> dict[str, Path]:
    """Slides and MRI exams of a delivered cohort, as options of ``ingest``; the external cohort has no exams."""
    found = {"slides": folder / "slides", "manifest": folder / "manifest.csv"}
    if (folder / "mri_manifest.csv").is_file():
        found |= {"mri": folder / "mri", "mri_manifest": folder / "mri_manifest.csv"}
    return found


@pytest.fixture(scope="session")
def ingested_study(tmp_path_factory: pytest.TempPathFactory, tiny_hospital: Path) -> Path:
    """A study with the tiny delivery ingested, nothing extracted; copy it before changing it."""
    study = tmp_path_factory.mktemp("ingested") / "study"
    ingest_all(study, tiny_hospital)
    return study


@pytest.fixture(scope="session")
def extracted_study(tmp_path_factory: pytest.TempPathFactory, ingested_study: Path) -> Path:
    """The ingested study with feature set pps-1 extracted; copy it before changing it."""
    from hccfeat.study import open_study

    study = tmp_path_factory.mktemp("extracted") / "study"
    shutil.copytree(ingested_study, study)
    summary = open_study(study).extract()
    assert summary.trained == ["pps-1"]
    assert summary.failures == []
    return study


@pytest.fixture(scope="session")
def mri_study(tmp_path_factory: pytest.TempPathFactory, extracted_study: Path) -> Path:
    """The extracted study with MRI feature sets mri-1, mri-pre-1 and mri-hbp-1 too; copy it before changing it."""
    from hccfeat.study import open_study

    study = tmp_path_factory.mktemp("mri") / "study"
    shutil.copytree(extracted_study, study)
    summary = open_study(study).extract(modality="mri", also=("z_pre", "z_hbp"), device="cpu")
    assert summary.feature_sets == ["mri-1", "mri-pre-1", "mri-hbp-1"]
    assert summary.trained == ["mri-1"]
    assert summary.failures == []
    return study

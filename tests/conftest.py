"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "2")

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "reference"


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

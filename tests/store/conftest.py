from pathlib import Path

import pytest

from tests.store.builder import make_study


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return make_study(tmp_path / "study with spaces ä")


@pytest.fixture(scope="session")
def read_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One study shared by the tests that only read."""
    return make_study(tmp_path_factory.mktemp("store") / "study")

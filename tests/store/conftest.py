import shutil
from pathlib import Path

import pytest

from tests.store.builder import make_study


@pytest.fixture(scope="session")
def read_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One study shared by the tests that only read."""
    return make_study(tmp_path_factory.mktemp("store") / "study")


@pytest.fixture
def study(tmp_path: Path, read_study: Path) -> Path:
    """A study of its own, with times kept, under a name that needs quoting."""
    return shutil.copytree(read_study, tmp_path / "study with spaces, ' and ä")

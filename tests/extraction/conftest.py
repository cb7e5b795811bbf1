import shutil
from pathlib import Path

import pytest

from tests.extraction.plain_tasks import IMAGES, plain_study


@pytest.fixture(scope="session")
def nothing_embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a feature set and no shards; copy it before changing it."""
    return plain_study(tmp_path_factory.mktemp("plain") / "study", IMAGES)


@pytest.fixture
def study(tmp_path: Path, nothing_embedded: Path) -> Path:
    return Path(shutil.copytree(nothing_embedded, tmp_path / "study"))

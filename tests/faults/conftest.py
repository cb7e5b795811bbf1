from collections.abc import Iterator

import pytest

from tests.faults.lives import Lives
from tests.faults.trials import Trials


@pytest.fixture(scope="session")
def lives() -> Iterator[Lives]:
    with Lives() as lives:
        yield lives


@pytest.fixture(scope="session")
def trials(lives: Lives, tmp_path_factory: pytest.TempPathFactory) -> Trials:
    return Trials(tmp_path_factory.mktemp("faults"), lives)

"""One tiny delivery shared by the tests that only read it."""

from pathlib import Path

import pytest

from hccfeat.progress import set_quiet
from hccfeat.simulation import Delivery, simulate

SMALL = {"patients": 6, "images": 9, "external_patients": 2}


@pytest.fixture(scope="session")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Delivery:
    set_quiet(True)
    folder: Path = tmp_path_factory.mktemp("simulated") / "tiny"
    return simulate(folder, "tiny", 7, SMALL)

"""What a clinical table lacks is said: an indicator, an outcome, images of the feature set asked for."""

import numpy as np
import polars as pl
import pytest

from hccfeat.analysis.load import Scope, load_endpoint
from hccfeat.analysis.notices import unrecorded_notices
from hccfeat.analysis.recurrence import analyse
from hccfeat.config import AnalysisConfig
from hccfeat.errors import AnalysisError, InputError
from hccfeat.study import Study, init_study

PATIENTS = 40


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A clinical table in which ALT is unreadable in every row, and a second one without outcomes."""
    folder = tmp_path_factory.mktemp("clinic")
    generator = np.random.default_rng(1)
    table = pl.DataFrame(
        {
            "patient_id": [f"P{k}" for k in range(PATIENTS)],
            "afp": generator.integers(1, 100, PATIENTS),
            "alt": ["high"] * PATIENTS,
            "recurrence_months": generator.integers(1, 60, PATIENTS),
            "recurrence_event": [1, 0] * (PATIENTS // 2),
        }
    )
    table.write_csv(folder / "clinic.csv")
    table.select("patient_id", "afp").write_csv(folder / "bare.csv")
    study = init_study(folder / "study", name="clinic")
    study.ingest("clinic", folder / "clinic.csv")
    study.ingest("bare", folder / "bare.csv")
    return study


def test_an_indicator_that_nobody_has_is_named(clinic: Study) -> None:
    data = load_endpoint(clinic.folder, clinic.config, "1y", Scope("clinic", (), None))
    assert data.indicator_names == ["afp"]
    assert data.unrecorded == dict.fromkeys(("hbsag", "alt", "tumour_size", "bclc", "vascular_invasion"), 0)
    (notice,) = unrecorded_notices(data)
    assert (notice.level, notice.kind) == ("caution", "missingness")
    assert f"alt (0 of {PATIENTS})" in notice.text


def test_a_cohort_without_outcomes_is_told_which_columns(clinic: Study) -> None:
    data = load_endpoint(clinic.folder, clinic.config, "1y", Scope("bare", (), None))
    with pytest.raises(AnalysisError, match=r"no outcome .* recurrence_months and recurrence_event"):
        analyse(data, AnalysisConfig())


@pytest.mark.parametrize("features", ["zzz", "pps"])
def test_a_feature_set_that_is_named_must_be_there(clinic: Study, features: str) -> None:
    with pytest.raises(InputError, match=f"--features {features}: has no embeddings"):
        clinic.analyze(("1y",), features=features, cohort="clinic")

"""Every number of the R reference, one test per entry; the same comparison as benchmarks/r_comparison.py prints."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ENTRIES = [
    "cox_multivariable", "cox_univariable", "cox_os", "cox_interaction", "cox_zph_km", "km", "logrank",
    "reverse_km_median_followup", "concordance", "endpoint_12m", "logistic_12m", "roc_12m", "time_dependent",
    "calibration_12m_apparent", "cox_univariable_12m", "calibration_12m", "tcga_pfi",
]  # fmt: skip
SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "r_comparison.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("r_comparison", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["r_comparison"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def table(script: ModuleType, real_data: Path, reference: Path) -> list:
    return script.rows(real_data, reference)


@pytest.mark.real_data
@pytest.mark.parametrize("entry", ENTRIES)
def test_equals_r(table: list, entry: str) -> None:
    rows = [row for row in table if row.quantity.split(".")[0].split("[")[0] == entry]
    assert rows
    beyond = [f"{row.quantity}: R {row.r:.8g}, ours {row.ours:.8g}" for row in rows if not row.agrees]
    assert beyond == []


@pytest.mark.real_data
def test_no_entry_is_left_out(table: list, reference: Path) -> None:
    entries = json.loads((reference / "r_reference.json").read_text())
    assert set(ENTRIES) == entries.keys() - {"source", "versions", "data"}
    assert len(table) == 595


def test_the_limits_are_those_that_were_agreed(script: ModuleType) -> None:
    assert script.Row("cox_os.coef[0]", 1.0, 1.0009).agrees
    assert not script.Row("cox_os.coef[0]", 1.0, 1.0011).agrees
    assert not script.Row("km.survival[0]", 1.0, 1.0009).agrees
    assert script.Row("cox_os.p[0]", 1e-5, 1.05e-5).agrees
    assert not script.Row("cox_os.p[0]", 1e-5, 1.2e-5).agrees
    assert not script.Row("cox_os.p[0]", 0.5, float("nan")).agrees

"""The page that sets every number beside R is made anew and compared with the one that is kept."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from benchmarks import r_comparison, r_values
from benchmarks.r_comparison import LIBRARIES, Row, headline, page, read_reference, rows, summary, versions_line

CHECKOUT = Path(__file__).resolve().parents[1]
PAGE = CHECKOUT / "docs" / "r-comparison.md"
VERSIONS = {"R": "R version 4.2.2", "survival": "3.5.3"}


@pytest.fixture(scope="module")
def table(real_data: Path, reference: Path) -> list[Row]:
    return rows(real_data, reference)


@pytest.mark.real_data
def test_the_page_is_what_the_comparison_gives_today(table: list[Row], reference: Path) -> None:
    made = page(table, read_reference(reference, "versions")).splitlines()
    kept = PAGE.read_text(encoding="utf-8").splitlines()
    assert [line for line in made if not line.startswith("Versions:")] == [
        line for line in kept if not line.startswith("Versions:")
    ]


@pytest.mark.real_data
def test_the_page_names_the_pinned_versions(reference: Path) -> None:
    pins = dict(re.findall(r"^([\w-]+)==(\S+)$", (CHECKOUT / "constraints.txt").read_text(), flags=re.MULTILINE))
    line = versions_line(read_reference(reference, "versions"), {name: pins[name] for name in LIBRARIES})
    assert line in PAGE.read_text(encoding="utf-8").splitlines()


@pytest.mark.real_data
def test_every_number_of_the_reference_is_there_and_agrees(table: list[Row], reference: Path) -> None:
    text = (reference / "r_reference.json").read_text(encoding="utf-8")
    body = text[text.index('"cox_multivariable"') :]
    without_words = re.sub(r'"(?:[^"\\]|\\.)*"', "", body)
    written = re.findall(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?", without_words)
    assert len(table) == len(written), "a number of the reference is not compared"
    assert [row.quantity for row in table if not row.agrees] == []
    assert len({row.label for row in table}) == len(table), "two numbers have one name"


@pytest.mark.real_data
def test_the_same_variables_stand_on_both_sides(reference: Path) -> None:
    r = read_reference(reference)
    assert r["cox_multivariable"]["efron"]["term"] == r["cox_multivariable"]["breslow"]["term"] == r_values.FULL
    assert r["cox_zph_km"]["term"] == [*r_values.FULL, "GLOBAL"]
    assert r["cox_os"]["term"] == r_values.OVERALL
    assert r["cox_os"]["formula"].startswith("Surv(OS, Death)")
    for block in ("cox_univariable", "cox_univariable_12m"):
        assert [one["term"] for one in r[block]] == r_values.CLINICAL
        assert {one["ties"] for one in r[block]} == {"efron"}
    assert r["logistic_12m"]["term"] == ["(Intercept)", *r_values.CLINICAL]
    assert (r["km"]["conf_type"], r["km"]["strata"]) == ("log", ["Vascularinvasion=0", "Vascularinvasion=1"])


def test_a_wrong_or_missing_number_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(r_comparison, "BLOCKS", {"km": ("survival::survfit", "curves")})
    good = Row("km.survival[0]", 0.5, 0.5, "km.survival[a]")
    small = Row("km.p", 1e-5, 1e-5, "km.p")
    assert "0 beyond the limits" in headline([good, small])
    wrong = Row("km.survival[1]", 0.5, 0.50006, "km.survival[b]")
    assert headline([good, wrong, small]).startswith(
        "3 numbers, 1 beyond the limits. Worst relative difference 1e-4 (km"
    )
    assert "**differs**" in summary([good, wrong, small], VERSIONS)[-1]
    missing = page([good, Row("km.survival[1]", 0.5, float("nan"), "km.survival[b]"), small], VERSIONS)
    assert "1 beyond the limits. Worst relative difference missing (km.survival[b])" in missing
    assert "| survival[b] | 0.5 | nan | missing | 1e-5 relative | **differs** |" in missing
    assert f"numpy {version('numpy')}" in missing

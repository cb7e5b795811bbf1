from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from hccfeat.analysis.data import EndpointData
from hccfeat.config import AnalysisConfig
from hccfeat.errors import LeakageError
from hccfeat.reproduction.blocks import Block, Figure, Note, Table
from hccfeat.reproduction.items import sorafenib
from hccfeat.reproduction.items.sorafenib import ITEMS
from tests.reproduction.items.test_baseline import light_context

BUILD = {item.number: item.build for item in ITEMS}
TREATED, HELD_OUT, N = 79, 73, 366


def tables(blocks: list[Block]) -> list[Table]:
    return [block for block in blocks if isinstance(block, Table)]


def drawn(blocks: list[Block]) -> str:
    figures = [block for block in blocks if isinstance(block, Figure)]
    return "".join(str(figure.draw(f"f{k}", True)) for k, figure in enumerate(figures))


def risks_of(patients: pl.DataFrame, risk: np.ndarray) -> pl.DataFrame:
    labelled = (pl.col("role") == "train") & ~pl.col("treated") & pl.col("y").is_not_null()
    return patients.with_columns(risk=pl.Series(risk), fitted=labelled).drop("excluded")


@pytest.fixture(scope="module")
def paper_sized() -> Any:
    """366 patients like the paper's: 287 untreated and 79 treated, 57 and 16 of them held out."""
    generator = np.random.default_rng(11)
    latent = generator.normal(size=N)
    treated = np.arange(N) < TREATED
    held_out = np.isin(np.arange(N), [*range(16), *range(TREATED, TREATED + 57)])
    time = generator.exponential(1 / (0.016 * np.exp(latent - 0.7 * latent * treated)))
    censored = generator.uniform(24, 84, N)
    months, event = np.minimum(time, censored), time <= censored
    ids = [f"internal/P{k:04d}" for k in range(N)]
    flags = {name: generator.random(N) < 0.3 + 0.3 * treated for name in ("hbsag", "vascular_invasion")}
    clinical = pl.DataFrame(
        {
            "patient_id": ids,
            "age": generator.normal(52, 10, N).round(),
            "sex": np.where(generator.random(N) < 0.85, "male", "female"),
            "afp": np.exp(generator.normal(4, 2, N)),
            "tumour_size": np.exp(generator.normal(1.5 + 0.3 * treated, 0.5, N)),
            "bclc": generator.integers(0, 4, N).astype(float),
            **flags,
        }
    )

    def data(endpoint: str) -> EndpointData:
        horizon = {"1y": 12.0, "2y": 24.0, "final": None}[endpoint]
        end = np.inf if horizon is None else horizon
        happened = event & (months <= end)
        y = [int(h) if h or horizon is None or m >= end else None for h, m in zip(happened, months, strict=True)]
        patients = pl.DataFrame(
            {
                "patient_id": ids,
                "cohort": ["internal"] * N,
                "role": np.where(held_out, "held_out", "train"),
                "treated": treated,
                "time": np.minimum(months, end),
                "event": happened,
                "y": y,
                "excluded": [None] * N,
            },
            schema_overrides={"y": pl.Int8, "excluded": pl.String},
        )
        return EndpointData(endpoint, endpoint, horizon, "", patients, clinical.select("patient_id"), [])

    risk = 1 / (1 + np.exp(-latent - 0.5 * generator.normal(size=N)))
    return SimpleNamespace(
        study=None,
        config=SimpleNamespace(analysis=AnalysisConfig(bootstraps=100)),
        feature_set=None,
        internal="internal",
        external=None,
        data=data,
        risks=lambda endpoint: risks_of(data(endpoint).patients, risk),
        clinical=clinical,
        drs=pl.DataFrame({"patient_id": ids, "drs": 0.4 + 0.2 * risk}),
    )


@pytest.fixture
def paper(paper_sized: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sorafenib, "clinical_table", lambda study, cohort: paper_sized.clinical)
    monkeypatch.setattr(sorafenib, "deep_risk_scores", lambda *_: paper_sized.drs)
    return paper_sized


@pytest.fixture(scope="module")
def tiny(extracted_study: Path) -> Any:
    """Three treated patients, one of them held out; risks by patient number."""
    context = light_context(extracted_study)

    def risks(endpoint: str) -> pl.DataFrame:
        patients = context.data(endpoint).patients
        return risks_of(patients, np.arange(patients.height) / patients.height)

    context.risks = risks
    return context


@pytest.mark.parametrize("number", BUILD)
def test_every_item_survives_three_treated_patients(tiny: Any, number: int) -> None:
    blocks = BUILD[number](tiny)
    assert tables(blocks)
    text = drawn(blocks) + repr([(table.rows, table.data, table.caption) for table in tables(blocks)])
    assert "nan" not in text.lower().replace("financ", "")
    assert "internal/" not in text
    for table in tables(blocks):
        assert table.data
        assert all(set(row) == set(table.data[0]) for row in table.data)


@pytest.mark.parametrize("number", BUILD)
def test_every_item_is_shown_at_the_papers_size(paper: Any, number: int) -> None:
    blocks = BUILD[number](paper)
    svg = drawn(blocks)
    assert ("SIMULATED DATA" in svg) == (number not in (28, 45))
    assert "internal/" not in svg + repr([table.rows for table in tables(blocks)])


def test_table_4_stands_beside_the_printed_p_values(paper: Any) -> None:
    data = {(row["variable"], row["level"]): row for row in tables(BUILD[28](paper))[0].data}
    row = data["tumour_size", ">= 5"]
    assert (row["printed1"], row["printed2"], row["printed_p"]) == (19, 32, 0.805)
    assert row["p_difference"] == pytest.approx(row["p"] - 0.805)
    assert row["n1"] + row["n2"] == TREATED
    recurred = paper.data("final").patients.filter(pl.col("treated") & pl.col("event"))
    assert row["n2"] == recurred.height


def test_fig_7a_is_about_the_sixteen_and_the_seventynine(paper: Any) -> None:
    table = tables(BUILD[29](paper))[0]
    assert [row["n1"] + row["n2"] for row in table.data] == [16, 16, 79, 79]
    assert [row["printed"] for row in table.data] == [0.003, 0.003, None, None]
    assert table.data[0]["events1"] + table.data[0]["events2"] < table.data[1]["events1"] + table.data[1]["events2"]


def test_fig_7b_gives_the_correlation_with_what_sees_censoring(paper: Any) -> None:
    rows = tables(BUILD[30](paper))[0].data
    assert [(row["score"], row["n"]) for row in rows] == [
        ("Deep risk score (DRS)", 16),
        ("1-year PPS risk", 16),
        ("Deep risk score (DRS)", 79),
        ("1-year PPS risk", 79),
    ]
    # The DRS is a straight line of the risk here: same r, C and hazard ratio per SD.
    assert rows[0]["r"] == pytest.approx(rows[1]["r"])
    assert rows[2]["hr_per_sd"] == pytest.approx(rows[3]["hr_per_sd"])
    assert rows[0]["printed_r"] == -0.66
    assert rows[0]["r_difference"] == pytest.approx(rows[0]["r"] + 0.66)
    assert rows[2]["printed_r"] is None
    assert rows[2]["c"] is not None


def test_the_predicted_groups_make_up_all_patients(paper: Any) -> None:
    every, high, low = (tables(BUILD[number](paper))[0].data for number in (31, 32, 33))
    for k, treated in enumerate((16, 79)):
        assert (every[k]["n1"], every[k]["n2"]) == (57, treated)
        for arm in ("n1", "n2", "events1", "events2"):
            assert high[k][arm] + low[k][arm] == every[k][arm]
    assert [rows[0]["printed"] for rows in (every, high, low)] == [0.017, "not significant", "significant"]
    shown = tables(BUILD[32](paper))[0].rows[0]
    assert shown["difference"] == ("same" if high[0]["p"] >= 0.05 else "here significant")


def test_absolute_differences_are_at_one_and_two_years(paper: Any) -> None:
    data = tables(BUILD[33](paper))[1].data
    assert [row["months"] for row in data] == [12, 24, 12, 24]
    for row in data:
        assert row["difference"] == pytest.approx(row["free2"] - row["free1"])


def test_the_interaction_is_adjusted_for_what_decided_about_treatment(paper: Any) -> None:
    data = tables(BUILD[31](paper))[-1].data
    terms = [
        row["term"] for row in data if row["model"] == "with product" and row["patients"] == "held-out patients"
    ]
    assert terms == [
        "sorafenib",
        "PPS risk per SD",
        "afp positive",
        "tumour_size > 5",
        "bclc II",
        "vascular_invasion positive",
        "sorafenib x PPS risk",
    ]
    tests = [row for row in data if row["model"] == "likelihood ratio"]
    assert [row["n"] for row in tests] == [73, 73, 136, 136]
    assert [row["patients"].endswith("products of risk and covariates") for row in tests] == [False, True] * 2
    assert all(row["df"] == 1 and 0 <= row["p"] <= 1 for row in tests)


@pytest.mark.parametrize("number", [31, 32, 33])
def test_treatment_was_not_randomised_and_the_page_says_so(paper: Any, number: int) -> None:
    notes = [block for block in BUILD[number](paper) if isinstance(block, Note)]
    assert any("cannot prove that sorafenib helps" in note.text and note.level == "caution" for note in notes)


@pytest.mark.parametrize("number", [29, 30, 31, 32, 33, 45])
def test_a_treated_patient_who_trained_stops_the_item(paper: Any, number: int) -> None:
    def leaked(endpoint: str) -> pl.DataFrame:
        treated = pl.col("treated") & (pl.col("role") == "train")
        return paper.risks(endpoint).with_columns(fitted=pl.col("fitted") | treated)

    context = SimpleNamespace(**(vars(paper) | {"risks": leaked}))
    with pytest.raises(LeakageError):
        BUILD[number](context)

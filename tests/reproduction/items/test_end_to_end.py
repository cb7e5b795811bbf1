"""Item 24 on made-up cohorts: Table 3's layout, its printed values, and what is missing."""

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from hccfeat.analysis.data import EndpointData
from hccfeat.analysis.models import PPS
from hccfeat.analysis.results import EndpointResult, Prediction
from hccfeat.config import AnalysisConfig, PrognosticRecipe, StudyConfig, load_recipe
from hccfeat.errors import AnalysisError, LeakageError
from hccfeat.extraction.cells import CellSpec
from hccfeat.report.tables import table
from hccfeat.reproduction.blocks import Block, Note, NotRunError, Table
from hccfeat.reproduction.items.end_to_end import ITEMS, LITERAL, RAW_LABELS
from hccfeat.reproduction.presets import load_preset
from hccfeat.reproduction.printed import printed
from tests.analysis.conftest import make_study

SETTINGS = AnalysisConfig(bootstraps=100)
HORIZON = {"1y": 12.0, "2y": 24.0, "final": None}


class Encoders:
    """Cells of the three labels, with random images; ``failed`` labels have none."""

    def __init__(
        self, failed: tuple[str, ...] = (), planned: bool = True, seen: frozenset[str] = frozenset()
    ) -> None:
        self.failed, self.asked, self.seen = failed, planned, seen

    def planned(self, spec: CellSpec) -> bool:
        assert (spec.model, spec.subset, spec.part) == ("cnn_sasm", "1/1", "whole")
        return self.asked

    def get(self, spec: CellSpec) -> Any:
        if spec.labels in self.failed:
            raise AnalysisError(f"cell {spec}", "has 1 relapsed patient", "Add patients.")
        images = make_study().images
        assert images is not None
        generator = np.random.default_rng(len(spec.labels))
        return SimpleNamespace(
            seen=self.seen,
            images=images.with_columns(probability=pl.Series(generator.random(images.height))),
        )


def analysed(external: int) -> dict[str, tuple[EndpointData, EndpointResult]]:
    """Each horizon with random PPS risks of everybody who may judge."""
    found = {}
    for name, months in HORIZON.items():
        data = make_study(horizon=months, endpoint=name, label=f"Recurrence ({name})", external=external)
        generator = np.random.default_rng(len(name))
        result = EndpointResult(name, data.label, months, data.exclusion_rule)
        for patient, cohort, role in data.patients.select("patient_id", "cohort", "role").iter_rows():
            if role != "train":
                result.predictions.append(Prediction(name, cohort, role, PPS, patient, float(generator.random())))
        found[name] = data, result
    return found


def context(cells: Encoders, external: int = 30) -> Any:
    studies = analysed(external)
    recipe = load_recipe("tiny").model_copy(update={"prognostic": PrognosticRecipe(max_epochs=1)})
    return SimpleNamespace(
        config=StudyConfig(name="made-up", analysis=SETTINGS),
        preset=load_preset("tiny"),
        recipe=recipe,
        cells=cells,
        data=lambda endpoint: studies[endpoint][0],
        result=lambda endpoint: studies[endpoint][1],
    )


def build(context: Any) -> list[Block]:
    (item,) = ITEMS
    assert (item.number, item.where) == (24, "Table 3")
    return item.build(context)


def tables(blocks: list[Block]) -> list[Table]:
    found = [block for block in blocks if isinstance(block, Table)]
    for number, block in enumerate(found):
        assert len({tuple(row) for row in block.data}) == 1
        text = str(table(f"t{number}", block.columns, block.rows, caption=block.caption, group=block.group))
        assert not re.search(r"\bnan\b|P0\d\d\d", text + repr(block.data), re.IGNORECASE)
    return found


def test_table_3_stands_beside_the_printed_values() -> None:
    blocks = tables(build(context(Encoders())))
    assert len(blocks) == 6
    metrics, counts, gaps = blocks[:3]
    assert len(metrics.rows) == 3 * 6
    assert len(metrics.data) == 3 * 6 * 3
    row = next(
        r
        for r in metrics.data
        if (r["endpoint"], r["model"], r["metric"], r["split"]) == ("2y", RAW_LABELS, "precision", "held_out")
    )
    assert row["printed"] == 0.65
    assert row["difference"] == pytest.approx(row["estimate"] - 0.65)
    assert row["lower"] <= row["estimate"] <= row["upper"]
    assert {r["printed"] for r in metrics.data if r["model"] == LITERAL} == {None}
    assert [column.label for column in metrics.columns].count("Printed") == 2
    assert re.search(r"\d+ patients, \d+ recurrences", metrics.rows[0]["group"])
    shown = next(r for r in counts.rows if r["model"] == "PPS risk")
    assert shown["printed"] == " / ".join(map(str, printed("table3", "confusion", "pps", "1y")))
    for r in counts.data:
        n = next(m["n"] for m in metrics.data if (m["endpoint"], m["split"]) == (r["endpoint"], r["split"]))
        assert r["tp"] + r["fp"] + r["fn"] + r["tn"] == n
    assert [r["printed"] for r in gaps.rows if r["model"] == "End to end, as the paper's code"] == [
        "+0.097",
        "+0.037",
        "+0.055",
    ]


def test_outside_nothing_is_printed() -> None:
    outside = tables(build(context(Encoders())))[3:]
    assert {row["split"] for block in outside for row in block.data} == {"external"}
    for block in outside:
        assert not {"Printed", "Difference", "Ours minus printed"} & {column.label for column in block.columns}
        assert {row.get("printed") for row in block.data} == {None}


def test_the_preset_may_leave_it_out() -> None:
    with pytest.raises(NotRunError):
        build(context(Encoders(planned=False)))


def test_an_encoder_that_could_not_be_trained_is_told() -> None:
    blocks = build(context(Encoders(failed=("1y",)), external=0))
    assert any("1 relapsed patient" in block.text for block in blocks if isinstance(block, Note))
    metrics = tables(blocks)[0]
    assert len(tables(blocks)) == 3
    literal = [row[LITERAL] for row in metrics.rows]
    assert literal[:6] == ["–"] * 6
    assert "–" not in [text.split()[0] for text in literal[6:]]
    assert len(metrics.data) == 3 * 6 * 3 - 6


def test_a_horizon_that_cannot_be_analysed_is_told() -> None:
    one = context(Encoders())
    result = one.result

    def lacking(endpoint: str) -> Any:
        if endpoint == "1y":
            raise AnalysisError("endpoint 1y", "has one class", "Choose another.")
        return result(endpoint)

    one.result = lacking
    blocks = build(one)
    assert any(block.text.startswith("1y: ") for block in blocks if isinstance(block, Note))
    assert {row["endpoint"] for row in tables(blocks)[0].data} == {"2y", "final"}

    def nothing(endpoint: str) -> Any:
        raise AnalysisError(f"endpoint {endpoint}", "has one class", "Choose another.")

    one.result = nothing
    with pytest.raises(AnalysisError, match="nothing can be shown"):
        build(one)


def test_a_leak_is_never_a_note() -> None:
    data = make_study()
    seen = frozenset(data.patients.filter(pl.col("role") == "held_out")["patient_id"])
    with pytest.raises(LeakageError):
        build(context(Encoders(seen=seen)))

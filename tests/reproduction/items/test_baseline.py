from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hccfeat.analysis.load import Scope, load_endpoint
from hccfeat.cohort.described import recorded_variables
from hccfeat.config import load_study_config
from hccfeat.extraction import feature_sets
from hccfeat.reproduction.blocks import Figure, Note, Table
from hccfeat.reproduction.items.baseline import ITEMS, flow_blocks, table_1


def light_context(study: Path) -> Any:
    """What the items ask of a context, without encoders of the subset study."""
    config, feature_set = load_study_config(study), feature_sets.newest(study, "pps")
    scope = Scope("internal", ("external",), feature_set)
    cache: dict[str, Any] = {}

    def data(endpoint: str) -> Any:
        if endpoint not in cache:
            cache[endpoint] = load_endpoint(study, config, endpoint, scope)
        return cache[endpoint]

    return SimpleNamespace(
        study=study, config=config, feature_set=feature_set, internal="internal", external="external", data=data,
        variables=recorded_variables(study, "internal"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def context(extracted_study: Path) -> Any:
    return light_context(extracted_study)


def rows_of(table: Table) -> dict[str, dict[str, Any]]:
    return {row["step"]: row for row in table.rows if row["cohort"] == "Cohort internal"}


def test_the_flow_stands_beside_the_printed_one(context: Any) -> None:
    blocks = flow_blocks(context)
    table = next(block for block in blocks if isinstance(block, Table))
    rows = rows_of(table)
    assert (rows["patients in the table"]["n"], rows["patients in the table"]["printed"]) == ("24", "372")
    assert rows["patients in the table"]["difference"] == "-348"
    assert (rows["training"]["printed"], rows["held out"]["printed"]) == ("293", "73")
    # The parts of the split follow from Tables 1 and 3 of the paper.
    for name, known in (
        ("training, untreated", "230"),
        ("training, sorafenib (trains nothing)", "63"),
        ("held out, untreated", "57"),
        ("held out, sorafenib (trains nothing)", "16"),
        ("held out, untreated, endpoint 1y: recurrences among them", "22"),
        ("held out, untreated, endpoint 2y: recurrences among them", "24"),
        ("held out, untreated, endpoint final: recurrences among them", "28"),
    ):
        assert rows[name]["printed"] == known
    assert int(rows["training"]["n"]) + int(rows["held out"]["n"]) == int(rows["patients who stay"]["n"])
    literal = rows["patients who would leave by its literal reading"]
    note = next(block for block in blocks if isinstance(block, Note))
    assert f"take out {literal['n']}," in note.text
    assert len(table.data) == len(table.rows)


def test_the_flow_is_drawn_without_patient_ids(context: Any) -> None:
    blocks = flow_blocks(context)
    figure = next(block for block in blocks if isinstance(block, Figure))
    svg = str(figure.draw("flow", True))
    assert "SIMULATED DATA" in svg
    assert "24 patients" in svg
    assert svg == str(figure.draw("flow", True))
    assert "internal/" not in svg + repr([block.rows for block in blocks if isinstance(block, Table)])


def test_a_study_without_an_external_cohort_has_a_flow(context: Any) -> None:
    blocks = flow_blocks(SimpleNamespace(**(vars(context) | {"external": None})))
    table = next(block for block in blocks if isinstance(block, Table))
    assert {row["cohort"] for row in table.rows} == {"Cohort internal"}


def test_table_1_counts_every_patient_once(context: Any) -> None:
    coded, numbers = [block for block in table_1(context) if isinstance(block, Table)]
    sizes = {column.label for column in coded.columns}
    assert {"Training, n = 19", "Held out, n = 5"} <= sizes
    by_level = {(row["variable"], row["level"]): row for row in coded.data}
    for variable, yes, no in (("age", "> 50", "<= 50"), ("bclc", "II", "I"), ("tumour_size", "> 5", "<= 5")):
        for group, n in ((1, 19), (2, 5)):
            both = [by_level[variable, level] for level in (yes, no)]
            assert sum(row[f"count{group}"] for row in both) + both[0][f"missing{group}"] == n
    male = by_level["sex", "male"]
    assert (male["printed1"], male["printed2"]) == (248, 62)
    assert male["share_difference1"] == pytest.approx(male["count1"] / 19 - 248 / 293)
    assert all(row["p"] is None or 0 <= row["p"] <= 1 for row in coded.data)
    assert {row["variable"] for row in numbers.data} >= {"age", "afp", "tumour_size", "alt"}


def test_the_items_are_1_and_3() -> None:
    assert [(item.number, item.where) for item in ITEMS] == [(1, "Results, cohort"), (3, "Table 1")]

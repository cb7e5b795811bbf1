"""A stand-in for the context of a reproduction, on the made-up cohort of the risk's tests."""

import json
import math
import re
from itertools import groupby
from pathlib import Path
from typing import Any, cast

from hccfeat.analysis.data import EndpointData
from hccfeat.analysis.results import EndpointResult
from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.config import AnalysisConfig, StudyConfig
from hccfeat.errors import AnalysisError
from hccfeat.report.tables import table
from hccfeat.reproduction.blocks import Block, Figure, Item, Note, Table
from hccfeat.reproduction.context import Context
from tests.analysis.risk_study import endpoints, judged


class RiskContext:
    """Only what the items about the risk ask for; ``lacking`` endpoints cannot be analysed."""

    def __init__(self, other: str | None = "external", lacking: tuple[str, ...] = (), **sizes: Any) -> None:
        self.study = Path("no-such-study")
        self.config = StudyConfig(name="made-up", analysis=AnalysisConfig(bootstraps=100))
        self.internal, self.external, self.lacking = "internal", other, lacking
        self.variables = load_dictionary().variables
        self.inputs = endpoints(**sizes)
        self.results: dict[str, EndpointResult] = {}

    def data(self, endpoint: str) -> EndpointData:
        return self.inputs[endpoint]

    def result(self, endpoint: str) -> EndpointResult:
        if endpoint in self.lacking:
            raise AnalysisError(f"endpoint {endpoint}", "has one class", "Choose another.")
        if endpoint not in self.results:
            self.results[endpoint] = judged(self.inputs[endpoint], self.config.analysis)
        return self.results[endpoint]


def built(item: Item, context: RiskContext, *, draw: bool = True) -> list[Block]:
    """The blocks of an item, each checked for what every block must hold; drawing takes most of the time."""
    blocks = item.build(cast("Context", context))
    assert blocks
    for number, block in enumerate(blocks):
        if isinstance(block, Table):
            check_table(block, f"t{number}")
        elif isinstance(block, Figure):
            if draw:
                check_figure(block, f"f{number}")
        else:
            assert isinstance(block, Note)
            assert "P0" not in block.text
    return blocks


def check_table(block: Table, key: str) -> None:
    assert len(block.rows) == len(block.data) > 0
    assert len({tuple(row) for row in block.data}) == 1
    shown = {column.key for column in block.columns}
    assert all(shown <= set(row) for row in block.rows)
    if block.group is not None:
        groups = [row[block.group] for row in block.rows]
        assert len(set(groups)) == len([name for name, _ in groupby(groups)])
    for row in block.data:
        assert all(math.isfinite(value) for value in row.values() if isinstance(value, float)), row
    text = table(key, block.columns, block.rows, caption=block.caption, group=block.group) + json.dumps(block.data)
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)
    assert "internal/P" not in text
    assert "external/P" not in text


def check_figure(block: Figure, key: str) -> None:
    drawn = block.draw(key, True)
    assert drawn.startswith("<svg")
    assert "SIMULATED DATA" in drawn
    assert "/P0" not in drawn + json.dumps(block.data)


def tables(blocks: list[Block]) -> list[Table]:
    return [block for block in blocks if isinstance(block, Table)]


def figures(blocks: list[Block]) -> list[Figure]:
    return [block for block in blocks if isinstance(block, Figure)]


def notes(blocks: list[Block]) -> str:
    return " ".join(block.text for block in blocks if isinstance(block, Note))

"""`analyze --comparators --tune`: from the command line to the catalog and the record of the run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hccfeat.analysis.comparators import COMPARATORS, listing
from hccfeat.analysis.comparators.registry import grid
from hccfeat.analysis.workflow import AnalyzeRequest, analyze
from hccfeat.cli import app
from hccfeat.errors import InputError
from hccfeat.store.catalog import query
from hccfeat.study import AnalyzeSummary, Study
from tests.analysis.modality_study import make_study


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_study(tmp_path_factory.mktemp("comparators") / "study", items=("afp", "alt", "tumour_number"))


def test_every_table_has_the_comparators_asked_for(small: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = replace(COMPARATORS["mil"], grid=grid(weight_decay=(0.01, 0.1), epochs=(1,)))
    monkeypatch.setattr(listing, "COMPARATORS", {**COMPARATORS, "mil": quick})
    names = ("cox", "coxnet", "mil")
    run = analyze(small.folder, small.config, AnalyzeRequest(("1y",), comparators=names, tune=True))
    rows = query(
        small.folder,
        "SELECT split, model, n, method FROM metric WHERE run_id = ? AND metric = 'auroc' ORDER BY ALL",
        [run.run_id],
    ).to_dicts()
    for split in ("apparent", "held_out"):
        mine = [row for row in rows if row["split"] == split]
        assert {"pps_mlp", "cox_clinical", "coxnet", "attention_mil"} <= {row["model"] for row in mine}
        assert len({row["n"] for row in mine}) == 1
        assert not {"survival_forest", "xgboost_cox"} & {row["model"] for row in mine}
    methods = {row["model"]: row["method"] for row in rows if row["split"] == "held_out"}
    assert "tuned by Harrell's C in 5 inner folds by patient" in methods["coxnet"]
    assert "tuned by AUROC in 5 inner folds by patient" in methods["attention_mil"]
    assert "Efron ties" in methods["cox_clinical"]
    assert (run.settings["comparators"], run.settings["tune"]) == (list(names), True)
    predicted = query(small.folder, "SELECT DISTINCT model FROM prediction WHERE run_id = ?", [run.run_id])["model"]
    assert {"cox_clinical", "coxnet", "attention_mil"} <= set(predicted)


def test_an_unknown_name_is_an_error(small: Study) -> None:
    with pytest.raises(InputError, match="svm: is unknown"):
        analyze(small.folder, small.config, AnalyzeRequest(("1y",), comparators=("svm",)))


@pytest.mark.parametrize(
    ("words", "names", "tune"),
    [((), None, False), (("--comparators", "cox", "--comparators", "mil", "--tune"), ("cox", "mil"), True)],
)
def test_the_options_reach_the_study(
    small: Study, words: tuple[str, ...], names: tuple[str, ...] | None, tune: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def spied(study: Study, **options: Any) -> AnalyzeSummary:
        given.update(options)
        return AnalyzeSummary("analyze-1", Path("report.html"), simulated=False)

    monkeypatch.setattr(Study, "analyze", spied)
    result = CliRunner().invoke(app, ["analyze", "--study", str(small.folder), "--endpoint", "1y", *words])
    assert result.exit_code == 0, result.output
    assert (given["comparators"], given["tune"]) == (names, tune)

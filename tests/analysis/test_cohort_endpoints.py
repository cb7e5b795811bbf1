"""The endpoints that real clinical cohorts have, and the variables that their models read."""

from pathlib import Path

import pytest

from hccfeat.analysis.load import Scope, load_endpoint
from hccfeat.config import load_study_config
from hccfeat.study import Study, init_study

pytestmark = pytest.mark.real_data

CDR = {"os": (370, 131), "dss": (361, 80), "dfi": (318, 146), "pfi": (371, 184), "final": (371, 184)}


@pytest.fixture(scope="module")
def tcga(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = init_study(tmp_path_factory.mktemp("tcga") / "study", name="tcga")
    folder = real_data / "tcga_lihc"
    study.ingest("tcga_lihc", folder / "TCGA-CDR.xlsx")  # the portal's export is never a workbook
    return study


@pytest.mark.parametrize("endpoint", CDR)
def test_tcga_has_the_four_endpoints_of_the_cdr(tcga: Study, endpoint: str) -> None:
    """Events/n before the rule on zero times: OS 132/376, DSS 80/367, DFI 147/322, PFI 185/376."""
    data = load_endpoint(tcga.folder, load_study_config(tcga.folder), endpoint, Scope("tcga_lihc", (), None))
    followed = data.patients.drop_nulls(["time", "event"])
    assert (followed.height, followed["event"].sum()) == CDR[endpoint]
    assert data.patients["y"].sum() == CDR[endpoint][1]
    assert data.horizon_months is None
    assert data.indicator_names == ["age", "sex", "ajcc_stage", "grade"]
    assert data.indicators["sex"].drop_nulls().is_in([0.0, 1.0]).all()


def test_horizons_leave_those_out_who_were_not_followed(tcga: Study) -> None:
    config = load_study_config(tcga.folder)
    for endpoint, months in (("os-2y", 24.0), ("os-5y", 60.0), ("pfi-2y", 24.0)):
        data = load_endpoint(tcga.folder, config, endpoint, Scope("tcga_lihc", (), None))
        time, event = data.patients["time"], data.patients["event"]
        assert time.max() == months
        early = (time < months) & ~event
        assert data.patients.filter(early)["y"].null_count() == early.sum() > 0
        assert (
            data.patients["y"].sum()
            == event.sum()
            == (data.patients["months"] <= months).filter(data.patients["recurred"]).sum()
        )


def test_the_portals_pathology_adds_vascular_invasion(real_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    for source in ("derived/tcga_cdr_lihc.csv", "gdc_2025-12/pathology_detail.tsv"):
        path = real_data / "tcga_lihc" / source
        (folder / path.name).write_bytes(path.read_bytes())
    study = init_study(tmp_path / "study", name="tcga")
    study.ingest("tcga_lihc", folder / "tcga_cdr_lihc.csv", table_format="tcga-cdr")
    data = load_endpoint(study.folder, load_study_config(study.folder), "pfi", Scope("tcga_lihc", (), None))
    assert data.indicator_names == ["age", "sex", "ajcc_stage", "grade", "vascular_invasion"]
    counts = study.sql(
        "SELECT vascular_invasion AS v, count(*) AS n FROM clinical GROUP BY 1 ORDER BY 1 NULLS LAST"
    )
    assert dict(counts.rows())[True] > 80
    assert sum(counts["n"]) == 377


def test_li2014_keeps_the_six_indicators_and_has_overall_survival(real_data: Path, tmp_path: Path) -> None:
    study = init_study(tmp_path / "study", name="li")
    study.ingest("hcc_li2014", real_data / "hcc_li2014" / "hepatoCellular.csv")
    data = load_endpoint(study.folder, load_study_config(study.folder), "os", Scope("hcc_li2014", (), None))
    assert (data.patients.height, data.patients["event"].sum()) == (227, 97)
    assert data.indicator_names == ["hbsag", "alt", "afp", "tumour_size", "bclc", "vascular_invasion"]
    columns = study.sql("SELECT * FROM clinical LIMIT 0").columns
    assert not {"albi_score", "fib4"} & set(columns)  # AST and ALT are groups there

"""Sites of patients, and a frozen split of whole sites."""

import pytest

from hccfeat.cohort.frozen import frozen_split, split_name
from hccfeat.cohort.sites import recorded_sites, sites_of
from hccfeat.config import StudyConfig
from hccfeat.errors import AnalysisError, ConfigError
from hccfeat.extraction.candidates import training_candidates
from hccfeat.reproduction.built import check_settings
from hccfeat.store.committer import Committer

BY_PATIENT = StudyConfig(name="s")
BY_SITE = StudyConfig.model_validate({"name": "s", "analysis": {"folds_by": "site"}})
IDS = [f"internal/P{k:03d}" for k in range(100)]


def ingest(committer, site=None, ids=IDS):
    columns = {} if site is None else {"site": "VARCHAR"}
    tables = {
        "cohort": [{"cohort": "internal", "title": "I", "format": "plain", "simulated": True}],
        "patient": [{"patient_id": p, "cohort": "internal", "treatment": None} for p in ids],
        "clinical": [{"patient_id": p, **({} if site is None else {"site": site(k)})} for k, p in enumerate(ids)],
        "outcome": [
            {"patient_id": p, "outcome": outcome, "months": 5.0, "event": k % 2 == 0}
            for k, p in enumerate(ids)
            for outcome in ("recurrence", "os")
        ],
    }
    committer.record("ingest", "internal", tables, about={"clinical_columns": columns})


def dealt(committer, name):
    return dict(
        committer.query("SELECT patient_id, coalesce(fold, 0) FROM split WHERE split = ?", [name]).iter_rows()
    )


def test_tissue_source_sites_are_the_second_field():
    ids = [f"tcga-cdr/TCGA-{'2V' if k % 2 else 'BC'}-A{k:03d}" for k in range(30)]
    assert sites_of("tcga-cdr", ids, {})[:2] == ["BC", "2V"]
    with pytest.raises(AnalysisError, match="no site of 30 of 60 patients"):
        sites_of("tcga-cdr", [*ids, *IDS[:30]], {})
    with pytest.raises(AnalysisError, match="no site of 29 of 30 patients"):
        sites_of("tcga-cdr", ids, {ids[0]: "Essen"})


def test_nobody_is_held_out_or_judged_beside_a_patient_of_the_same_site(tmp_path):
    with Committer(tmp_path) as committer:
        ingest(committer, site=lambda k: f"Hospital {k % 9}")
        assert recorded_sites(committer.query, "internal")[IDS[10]] == "Hospital 1"
        name = frozen_split(tmp_path, committer, BY_SITE)
        assert name == split_name(BY_SITE) == frozen_split(tmp_path, committer, BY_SITE)
        fold_of = dealt(committer, name)
        trains = [training_candidates(tmp_path, BY_SITE, committer.query, fold)[0] for fold in (None, 1)]
    for unseen, train in zip(({0}, {0, 1}), trains, strict=True):
        sites = {int(p[-3:]) % 9 for p in IDS if fold_of[p] in unseen}
        assert sites
        assert not sites & {int(p[-3:]) % 9 for p in train["patient_id"]}
    assert len(fold_of) == 100
    assert all(fold_of[IDS[k]] == fold_of[IDS[k % 9]] for k in range(100))
    assert set(fold_of.values()) == {0, 1, 2, 3, 4, 5}


def test_a_frozen_split_does_not_turn_into_the_other_kind(tmp_path):
    def seed_1(config):
        return config.model_copy(update={"split": config.split.model_copy(update={"seed": 1})})

    with Committer(tmp_path) as committer:
        ingest(committer, site=lambda k: f"Hospital {k % 9}")
        name = frozen_split(tmp_path, committer, BY_PATIENT)
        before = dealt(committer, name)
        with pytest.raises(AnalysisError, match="frozen by patient") as caught:
            frozen_split(tmp_path, committer, BY_SITE)
        assert "another seed" in caught.value.remedy
        assert dealt(committer, name) == before
        assert frozen_split(tmp_path, committer, seed_1(BY_SITE)) != name
        with pytest.raises(AnalysisError, match="frozen by site"):
            frozen_split(tmp_path, committer, seed_1(BY_PATIENT))


def test_missing_sites_are_counted(tmp_path):
    with Committer(tmp_path) as committer:
        ingest(committer, site=lambda k: None if k % 10 == 0 else f"Hospital {k % 9}")
        with pytest.raises(AnalysisError, match="no site of 10 of 100 patients") as caught:
            frozen_split(tmp_path, committer, BY_SITE)
        assert "folds_by" in caught.value.remedy


def test_the_name_of_a_split_by_patient_is_what_it_was():
    assert split_name(BY_PATIENT) == "internal-ef39d702"


def test_the_papers_studies_are_of_patients():
    check_settings(BY_PATIENT)
    with pytest.raises(ConfigError, match="folds by site"):
        check_settings(BY_SITE)
    breslow = BY_PATIENT.analysis.model_copy(update={"ties": "breslow"})
    with pytest.raises(ConfigError, match="Breslow's ties"):
        check_settings(BY_PATIENT.model_copy(update={"analysis": breslow}))

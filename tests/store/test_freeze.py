from pathlib import Path

import pytest

from hccfeat.errors import StoreError
from hccfeat.store.catalog import rebuild
from hccfeat.store.committer import Committer
from hccfeat.store.findings import Finding
from hccfeat.store.freeze import freeze, freezes, freezes_of, release
from hccfeat.store.shards import write_shard
from hccfeat.store.status import status
from hccfeat.store.verify import verify
from tests.store.builder import CLINICAL, cohort_tables, shard


def states(study: Path) -> dict[str, str]:
    return {row["name"]: row["state"] for row in freezes(study)}


def test_a_freeze_names_and_hashes_what_it_holds(study: Path) -> None:
    row = freeze(study, "paper", cohort="internal", feature_set="pps")
    assert (row["feature_set"], row["split"], row["patients"], row["images"]) == ("pps-1", "frozen", 5, 10)
    assert freezes(study) == [{**row, "state": "unchanged"}]
    shown = {key: value for key, value in row.items() if not key.endswith("sha256")}
    assert status(study)["Frozen"] == [shown]
    assert freezes_of(study, "pps-1") == ["paper"]
    assert freezes_of(study, "pps-2") == []
    rebuild(study)
    assert freezes(study) == [{**row, "state": "unchanged"}]


def test_what_changed_since_is_said(study: Path) -> None:
    freeze(study, "paper", cohort="internal", feature_set="pps-1")
    tables = cohort_tables()
    tables["clinical"][0]["afp"] = 77.0
    with Committer(study) as committer:
        # Another cohort with a variable of its own is no change of this one.
        other = cohort_tables("other")
        other["clinical"][0]["ki67"] = 4.0
        committer.record("ingest", "other", other, about={"clinical_columns": {**CLINICAL, "ki67": "DOUBLE"}})
    assert states(study) == {"paper": "unchanged"}
    with Committer(study) as committer:
        replaces = {table: {"cohort": "internal"} for table in tables}
        committer.record("ingest", "internal", tables, replaces, {"clinical_columns": CLINICAL})
    assert states(study) == {"paper": "changed: cohort"}
    warnings: list[Finding] = []
    assert verify(study, warnings=warnings, isolated=False) == []
    assert [(f.entity, f.problem) for f in warnings] == [("freeze paper", "changed: cohort since it was frozen")]
    with Committer(study) as committer:
        (study / "features/pps-1/internal/P000_1.h5").unlink()
        committer.adopt([write_shard(study, shard("internal/P000_1", seed=4))])
        members = [{"split": "frozen", "patient_id": "internal/P001", "role": "test", "fold": None}]
        committer.record("splits", "frozen", {"split": members})
    assert states(study) == {"paper": "changed: cohort, split, features"}


def test_a_freeze_is_given_up_once(study: Path) -> None:
    freeze(study, "paper", cohort="internal", feature_set="pps-1")
    release(study, "paper")
    assert freezes(study) == []
    with pytest.raises(StoreError, match="does not exist"):
        release(study, "paper")
    freeze(study, "paper", cohort="internal", feature_set="pps-1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Ä"}, "not a usable name"),
        ({"name": "taken"}, "freeze taken: exists already. .*hccfeat freeze taken --release"),
        ({"cohort": "nowhere"}, "would hold no patients of cohort nowhere"),
        ({"feature_set": "ghost"}, "feature set ghost: does not exist"),
        ({"split": "ghost"}, r"no such split \(there are: frozen\)"),
    ],
)
def test_what_cannot_be_frozen(study: Path, change: dict, message: str) -> None:
    if change.get("name") == "taken":
        freeze(study, "taken", cohort="internal", feature_set="pps-1")
    wanted = {"name": "paper", "cohort": "internal", "feature_set": "pps-1", **change}
    before = len(list((study / "records" / "freezes").glob("*")))
    with pytest.raises(StoreError, match=message):
        freeze(study, wanted.pop("name"), **wanted)
    assert len(list((study / "records" / "freezes").glob("*"))) == before

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from hccfeat.analysis.data import EndpointData
from hccfeat.analysis.flow import cohort_flow, follow_up_rule, imaged_patients, labelled_counts
from hccfeat.analysis.load import Scope, load_endpoint
from hccfeat.analysis.notices import follow_up_notices, outside_notices
from hccfeat.config import load_study_config
from hccfeat.extraction import feature_sets
from hccfeat.store.catalog import query


@pytest.fixture(scope="module")
def final(extracted_study: Path) -> EndpointData:
    scope = Scope("internal", ("external",), feature_sets.newest(extracted_study, "pps"))
    return load_endpoint(extracted_study, load_study_config(extracted_study), "final", scope)


def test_counts_add_up(extracted_study: Path, final: EndpointData) -> None:
    flow = cohort_flow(extracted_study, "internal", "pps-1")
    assert flow.steps[0]["n"] >= flow.patients == 24
    assert flow.images == flow.used_images + flow.unreadable + sum(flow.excluded_images.values())
    assert flow.imaged == imaged_patients(final, "internal").height
    counts = labelled_counts(final, "internal")
    assert sum(row["patients"] for row in counts) == imaged_patients(final, "internal").height
    assert sum(row["patients"] for row in counts if row["treated"]) == flow.treated
    assert [row["role"] for row in counts] == sorted((row["role"] for row in counts), key="train held_out".index)
    assert all(row["events"] <= row["labelled"] <= row["patients"] for row in counts)


def test_no_shards_means_no_used_images(extracted_study: Path) -> None:
    flow = cohort_flow(extracted_study, "internal", "no-such-set")
    assert (flow.used_images, flow.imaged, flow.unreadable) == (0, 0, flow.images)


def test_the_literal_rule_counts_everyone_with_short_follow_up(extracted_study: Path, final: EndpointData) -> None:
    rule = follow_up_rule(extracted_study, "internal", final)
    assert rule is not None
    outcomes = query(
        extracted_study,
        "SELECT o.* FROM outcome AS o JOIN patient AS p USING (patient_id) WHERE p.cohort = 'internal'",
    )
    last = outcomes.filter(pl.col("outcome") == "os")
    assert rule.literal == last.filter(pl.col("months") < 24).height > 0
    assert rule.used == final.patients.filter(pl.col("excluded").str.contains("minimum follow-up")).height
    assert rule.patients == 24


def test_patients_without_outcome_or_image_do_not_stay(final: EndpointData) -> None:
    first, second = final.patients.filter(pl.col("cohort") == "internal")["patient_id"].head(2)
    gone = pl.when(pl.col("patient_id") == first).then(None)
    assert final.images is not None
    changed = EndpointData(
        **{
            **vars(final),
            "patients": final.patients.with_columns(gone.otherwise(pl.col("time")).alias("time")),
            "images": final.images.filter(pl.col("patient_id") != second),
        }
    )
    kept = imaged_patients(changed, "internal")["patient_id"]
    assert len(kept) == 22
    assert not {first, second} & set(kept)


def test_patients_left_out_by_their_follow_up_are_counted(final: EndpointData) -> None:
    short = pl.lit("alive and recurrence-free at last contact before the cohort's minimum follow-up")
    some = pl.col("patient_id").is_in(final.patients.filter(pl.col("cohort") == "internal")["patient_id"].head(3))
    excluded = pl.when(some).then(short).otherwise(pl.lit(None)).alias("excluded")
    (notice,) = follow_up_notices(replace(final, patients=final.patients.with_columns(excluded)))
    assert notice.text.startswith("3 of 24 patients of cohort internal left every analysis")
    assert follow_up_notices(replace(final, patients=final.patients.with_columns(excluded=None))) == []


def test_patients_outside_the_split_are_counted(extracted_study: Path, final: EndpointData) -> None:
    assert final.outside_split == 0
    config = load_study_config(extracted_study)
    other = config.model_copy(update={"split": config.split.model_copy(update={"seed": 77})})
    scope = Scope("internal", ("external",), feature_sets.newest(extracted_study, "pps"))
    found = load_endpoint(extracted_study, other, "final", scope)
    assert found.outside_split == 24
    assert set(found.patients["cohort"]) == {"external"}
    (notice,) = outside_notices(found, "internal")
    assert notice.text.startswith("24 patients of cohort internal neither train nor judge")
    assert outside_notices(final, "internal") == []

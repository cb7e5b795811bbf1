import json
from pathlib import Path

import numpy as np
import pytest

from hccfeat.errors import StoreError
from hccfeat.store.committer import Committer
from hccfeat.store.diff import diff
from hccfeat.store.shards import write_shard
from tests.store.builder import CLINICAL, add_feature_set, cohort_tables, image_ids, make_study, shard


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 2 turned P000_1 by 60 degrees, doubled P000_2, lacks P001_1, has a new image, and kept the others."""
    study = make_study(tmp_path_factory.mktemp("diff") / "study")
    recipe = {"name": "tiny", "patches": {"size": 112, "edge": 0.5}}
    with Committer(study) as committer:
        add_feature_set(committer, "pps-2", recipe=recipe, weights_sha256="1" * 64)
        add_feature_set(committer, "wide-1", dim=12)
        infos = []
        for image_id in ["internal/new", *image_ids()[:2], *image_ids()[3:9]]:
            made = shard(image_id, feature_set="pps-2")
            vectors = made.vectors.copy()
            if image_id.endswith("P000_1"):
                vectors = turned(vectors, np.pi / 3)
            elif image_id.endswith("P000_2"):
                vectors *= 2
            infos.append(write_shard(study, type(made)(**{**vars(made), "vectors": vectors})))
        committer.adopt(infos)
        tables = cohort_tables(patients=6)
        del tables["patient"][0], tables["clinical"][0]
        tables["clinical"][0] |= {"afp": None, "alt": 30.5, "bclc": "D", "sex": "female"}
        tables["outcome"][3]["months"] += 1
        replaces = {table: {"cohort": "internal"} for table in tables}
        committer.record("ingest", "internal", tables, replaces, {"clinical_columns": CLINICAL})
        committer.record("ingest", "other", cohort_tables("other"), about={"clinical_columns": CLINICAL})
    return study


def turned(vectors: np.ndarray, angle: float) -> np.ndarray:
    """Turn vectors by an angle in the plane of their mean and a direction at right angles to it."""
    mean = vectors.astype(float).mean(axis=0)
    u = mean / np.linalg.norm(mean)
    v = np.eye(len(u))[0] - u[0] * u
    v /= np.linalg.norm(v)
    a, b = vectors @ u, vectors @ v
    rest = vectors - np.outer(a, u) - np.outer(b, v)
    turned_a, turned_b = a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)
    return (rest + np.outer(turned_a, u) + np.outer(turned_b, v)).astype(np.float32)


def test_images_of_two_versions(study: Path) -> None:
    rows = {
        row["images"]: (row["number"], row["patches_a"], row["patches_b"])
        for row in diff(study, "pps-1", "pps-2")["Images"]
    }
    assert rows == {
        "equal": (6, 36, 36),
        "changed": (2, 12, 12),
        "only in pps-1": (2, 6, 0),
        "only in pps-2": (1, 0, 6),
    }


def test_drift_of_the_vectors(study: Path) -> None:
    sections = diff(study, "pps-1", "pps-2")
    (summary,) = sections["Image means"]
    assert summary["images"] == 8
    assert summary["mean_cosine"] == pytest.approx(7.5 / 8, abs=1e-5)
    assert summary["lowest_cosine"] == pytest.approx(0.5, abs=1e-5)
    assert summary["mean_norm_ratio"] == pytest.approx(9 / 8, abs=1e-5)
    assert sections["Furthest apart"][0]["image_id"] == "internal/P000_1"


def test_fields_of_the_recipes(study: Path) -> None:
    rows = {row.pop("field"): tuple(row.values()) for row in diff(study, "pps-1", "pps-2")["Recipes"]}
    assert rows == {
        "weights_sha256": ("0" * 64, "1" * 64),
        "recipe.patches.size": (None, 112),
        "recipe.patches.edge": (None, 0.5),
    }


def test_a_version_against_itself(study: Path) -> None:
    sections = diff(study, "pps-1", "pps-1")
    assert [row["images"] for row in sections["Images"]] == ["equal"]
    assert sections["Recipes"] == []
    assert sections["Image means"][0]["lowest_cosine"] == pytest.approx(1)


def test_other_dimensions_have_no_drift(study: Path) -> None:
    assert set(diff(study, "pps-1", "wide-1")) == {"Images", "Recipes"}


def test_two_states_of_a_cohort_are_counted(study: Path) -> None:
    sections = diff(study, "internal@1", "internal")
    rows = {row.pop("table"): tuple(row.values()) for row in sections["Rows"]}
    assert rows["patient"] == (1, 1, 0, 4)
    assert rows["clinical"] == (1, 1, 1, 3)
    assert rows["outcome"] == (2, 0, 1, 9)
    assert rows["cohort"] == (0, 0, 0, 1)
    values = {(row.pop("table"), row.pop("column")): row for row in sections["Values"]}
    assert values[("clinical", "afp")] == {"filled": 0, "emptied": 1, "changed": 0}
    assert values[("clinical", "alt")] == {"filled": 1, "emptied": 0, "changed": 0}
    assert values[("clinical", "bclc")] == {"filled": 0, "emptied": 0, "changed": 1}
    assert values[("outcome", "months")] == {"filled": 0, "emptied": 0, "changed": 1}
    assert ("clinical", "age") not in values


def test_a_diff_of_cohorts_shows_neither_values_nor_patients(study: Path) -> None:
    text = json.dumps(diff(study, "internal@1", "internal"))
    assert "P00" not in text
    assert "30.5" not in text
    assert '"D"' not in text


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ("pps-1", "ghost", "ghost: is neither"),
        ("internal", "other", "not of one cohort"),
        ("pps-1", "internal", "not two feature sets"),
        ("internal@99", "internal", r"Its states are internal@1, internal@\d+"),
        ("internal@x", "internal", "is no state"),
    ],
)
def test_what_cannot_be_compared(study: Path, a: str, b: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        diff(study, a, b)

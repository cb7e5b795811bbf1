"""Finding feature sets in the catalog by name, version or training."""

import json
from pathlib import Path

from hccfeat.extraction.identity import FeatureSet, feature_set_from_row
from hccfeat.store.catalog import Catalog, query


def newest(catalog: Catalog, base: str) -> FeatureSet | None:
    """Newest version of a feature set (no fold of a cross-validation), or None."""
    rows = query(
        catalog,
        "SELECT * FROM feature_set WHERE base = ? AND fold IS NULL ORDER BY version DESC LIMIT 1",
        [base],
    ).to_dicts()
    return feature_set_from_row(rows[0]) if rows else None


def folds(catalog: Catalog, base: str) -> list[FeatureSet]:
    """Newest feature set of every outer fold, by fold."""
    rows = query(
        catalog,
        "SELECT * FROM feature_set WHERE base = ? AND fold IS NOT NULL "
        "QUALIFY row_number() OVER (PARTITION BY fold ORDER BY version DESC) = 1 ORDER BY fold",
        [base],
    ).to_dicts()
    return [feature_set_from_row(row) for row in rows]


def by_training(study: Path, base: str, training_sha256: str, fold: int | None) -> FeatureSet | None:
    """Feature set whose encoder came from exactly this training, or None."""
    rows = query(
        study, "SELECT * FROM feature_set WHERE base = ? AND fold IS NOT DISTINCT FROM ?", [base, fold]
    ).to_dicts()
    for row in rows:
        facts = study / "models" / row["feature_set"] / "recipe.json"
        if facts.is_file() and json.loads(facts.read_text()).get("training_sha256") == training_sha256:
            return feature_set_from_row(row)
    return None


def by_name(catalog: Catalog, name: str) -> FeatureSet | None:
    """Feature set of this name with version, or None."""
    rows = query(catalog, "SELECT * FROM feature_set WHERE feature_set = ?", [name]).to_dicts()
    return feature_set_from_row(rows[0]) if rows else None


def by_identity(catalog: Catalog, base: str, sha256: str) -> FeatureSet | None:
    """Feature set with this identity, or None."""
    rows = query(catalog, "SELECT * FROM feature_set WHERE base = ? AND sha256 = ?", [base, sha256]).to_dicts()
    return feature_set_from_row(rows[0]) if rows else None


def next_version(catalog: Catalog, base: str, fold: int | None) -> int:
    """Version that a new feature set of this name gets."""
    frame = query(
        catalog,
        "SELECT coalesce(max(version), 0) + 1 AS version FROM feature_set "
        "WHERE base = ? AND fold IS NOT DISTINCT FROM ?",
        [base, fold],
    )
    return int(frame["version"][0])

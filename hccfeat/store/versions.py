"""Feature sets by name: a bare name means the newest version."""

from pathlib import Path

from hccfeat.errors import StoreError
from hccfeat.store.catalog import query


def resolve_feature_set(study: Path, name: str) -> str:
    """Name with version of a feature set: ``pps`` becomes the newest ``pps-<n>``, ``pps-1`` stays.

    Encoders of single cross-validation folds are no newest version; name them in full.

    Raises
    ------
    StoreError
        If there is none.
    """
    found = query(
        study,
        "SELECT feature_set FROM feature_set WHERE feature_set = ?1 "
        "UNION ALL SELECT feature_set FROM newest_feature_set WHERE base = ?1",
        [name],
    )
    if found.is_empty():
        known = query(study, "SELECT feature_set FROM feature_set ORDER BY feature_set")["feature_set"]
        remedy = f"Known feature sets: {', '.join(known) or 'none yet'}."
        raise StoreError(f"feature set {name}", "does not exist", remedy)
    return str(found["feature_set"][0])

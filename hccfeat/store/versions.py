"""Feature sets by name: a bare name means the newest version."""

from pathlib import Path

from hccfeat.errors import StoreError
from hccfeat.store.catalog import Ask, asking


def resolve_feature_set(study: Path, name: str) -> str:
    """Name with version of a feature set: ``pps`` becomes the newest ``pps-<n>``, ``pps-1`` stays.

    Encoders of single cross-validation folds are no newest version; name them in full.

    Raises
    ------
    StoreError
        If there is none.
    """
    with asking(study) as ask:
        found = find_feature_set(ask, name)
        if found is None:
            raise unknown_feature_set(ask, name)
    return found


def find_feature_set(ask: Ask, name: str) -> str | None:
    """What :func:`resolve_feature_set` gives, on an open catalog; None where there is none."""
    found = ask(
        "SELECT feature_set FROM feature_set WHERE feature_set = ? "
        "UNION ALL SELECT feature_set FROM newest_feature_set WHERE base = ?",
        [name, name],
    )["feature_set"]
    return None if found.is_empty() else str(found[0])


def unknown_feature_set(ask: Ask, name: str) -> StoreError:
    """The error that names the feature sets there are."""
    known = ask("SELECT feature_set FROM feature_set ORDER BY feature_set")["feature_set"]
    return StoreError(
        f"feature set {name}", "does not exist", f"Known feature sets: {', '.join(known) or 'none yet'}."
    )

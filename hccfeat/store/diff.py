"""What differs between two feature sets, or between two states of a cohort."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hccfeat.errors import StoreError
from hccfeat.store.catalog import Ask, asking
from hccfeat.store.names import image_table
from hccfeat.store.records import Record, read_record, record_files
from hccfeat.store.schema import KEYS

COMPARED = ("cohort", "patient", "clinical", "outcome", "image", "volume", "attrition")
"""Tables of a cohort whose rows are compared."""

Sections = dict[str, list[dict[str, Any]]]
_FURTHEST = 10


def diff(study: Path, a: str, b: str) -> Sections:
    """Compare two feature sets, or two states of a cohort.

    Parameters
    ----------
    study : Path
        Study folder.
    a, b : str
        Feature sets (``pps-1``), or states of one cohort: its name for the newest, ``<cohort>@<number>`` for the
        one that the ingest record of that number left.

    Returns
    -------
    dict
        Rows by title. Of a cohort only counts: no values and no patients.

    Raises
    ------
    StoreError
        If one does not exist, or they cannot be compared.
    """
    with asking(study) as ask:
        known = set(ask("SELECT feature_set FROM feature_set")["feature_set"])
        if a in known and b in known:
            return diff_feature_sets(ask, a, b)
        states = [_states(study, ask, text.partition("@")[0]) for text in (a, b)]
    for text, found in zip((a, b), states, strict=True):
        if not found and text not in known:
            remedy = f"Feature sets: {', '.join(sorted(known)) or 'none yet'}; `hccfeat status` lists cohorts."
            raise StoreError(text, "is neither a feature set nor a cohort", remedy)
    if a.partition("@")[0] != b.partition("@")[0]:
        remedy = "Compare two feature sets, or two states of one cohort."
        raise StoreError(f"{a} and {b}", "are not two feature sets and not of one cohort", remedy)
    return diff_cohorts(*(_state(text, found) for text, found in zip((a, b), states, strict=True)))


def diff_feature_sets(ask: Ask, a: str, b: str) -> Sections:
    """Images of two feature sets, how far their mean vectors lie apart, and what of the recipes differs."""
    rows = ask("SELECT * FROM feature_set WHERE feature_set IN (?, ?)", [a, b]).to_dicts()
    facts = {row["feature_set"]: row for row in rows}
    sections: Sections = {"Images": _images(ask, a, b), "Recipes": _recipes(facts[a], facts[b])}
    if facts[a]["dim"] == facts[b]["dim"]:
        sections |= _drift(ask, a, b)
    return sections


def diff_cohorts(a: Record, b: Record) -> Sections:
    """Rows and values that differ between two ingest records of a cohort, counted by table and by column."""
    rows, columns = [], []
    for table in COMPARED:
        old, new = _by_key(a, table), _by_key(b, table)
        both = old.keys() & new.keys()
        changes: dict[str, dict[str, int]] = {}
        changed = 0
        for key in both:
            differing = _differing(old[key], new[key])
            changed += bool(differing)
            for column, what in differing.items():
                counts = changes.setdefault(column, {"filled": 0, "emptied": 0, "changed": 0})
                counts[what] += 1
        rows.append(
            {
                "table": table,
                "added": len(new.keys() - old.keys()),
                "removed": len(old.keys() - new.keys()),
                "changed": changed,
                "equal": len(both) - changed,
            }
        )
        columns += [{"table": table, "column": column, **changes[column]} for column in sorted(changes)]
    return {"Rows": rows, "Values": columns}


def _images(ask: Ask, a: str, b: str) -> list[dict[str, Any]]:
    return ask(
        "WITH x AS (SELECT image_id, digest, patches FROM shard WHERE feature_set = $1), "
        "y AS (SELECT image_id, digest, patches FROM shard WHERE feature_set = $2) "
        "SELECT CASE WHEN y.image_id IS NULL THEN 'only in ' || $1 WHEN x.image_id IS NULL THEN 'only in ' || $2 "
        "WHEN x.digest = y.digest THEN 'equal' ELSE 'changed' END AS images, count(*) AS number, "
        "coalesce(sum(x.patches), 0)::BIGINT AS patches_a, coalesce(sum(y.patches), 0)::BIGINT AS patches_b "
        "FROM x FULL JOIN y ON x.image_id = y.image_id GROUP BY ALL ORDER BY images",
        [a, b],
    ).to_dicts()


def _recipes(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[dict[str, Any]]:
    flat = [_flat({**row, "recipe": json.loads(row["recipe"] or "{}")}) for row in (a, b)]
    own = {"feature_set", "version", "sha256"}
    names = sorted((flat[0].keys() | flat[1].keys()) - own)
    return [
        {"field": name, a["feature_set"]: flat[0].get(name), b["feature_set"]: flat[1].get(name)}
        for name in names
        if flat[0].get(name) != flat[1].get(name)
    ]


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, Mapping):
            found |= _flat(item, f"{prefix}{name}.")
        else:
            found[prefix + name] = item
    return found


def _drift(ask: Ask, a: str, b: str) -> Sections:
    """Cosines and norms of the image means that both feature sets have."""
    pairs = (
        "SELECT x.image_id, array_cosine_similarity(x.mean, y.mean) AS cosine, "
        "sqrt(array_inner_product(x.mean, x.mean)) AS norm_a, sqrt(array_inner_product(y.mean, y.mean)) AS norm_b "
        f'FROM "{image_table(a)}" AS x JOIN "{image_table(b)}" AS y ON x.image_id = y.image_id'
    )
    summary = ask(
        "SELECT count(*) AS images, avg(cosine) AS mean_cosine, quantile_cont(cosine, 0.05) AS cosine_5_percent, "
        "min(cosine) AS lowest_cosine, avg(norm_a) AS mean_norm_a, avg(norm_b) AS mean_norm_b, "
        f"avg(norm_b / nullif(norm_a, 0)) AS mean_norm_ratio FROM ({pairs})",
    ).to_dicts()
    if not summary[0]["images"]:
        return {}
    furthest = ask(
        f"SELECT * FROM ({pairs}) WHERE cosine < 1 ORDER BY cosine, image_id LIMIT {_FURTHEST}"
    ).to_dicts()
    return {"Image means": summary, "Furthest apart": furthest}


def _states(study: Path, ask: Ask, cohort: str) -> dict[int, Path]:
    """Ingest records of a cohort by number."""
    rows = ask("SELECT sequence FROM record WHERE kind = 'ingest' AND name = ? ORDER BY sequence", [cohort])
    wanted = set(rows["sequence"])
    return {number: path for number, path in record_files(study) if number in wanted}


def _state(text: str, states: Mapping[int, Path]) -> Record:
    cohort, _, number = text.partition("@")
    if not number:
        return read_record(states[max(states)])
    if number.isdigit() and int(number) in states:
        return read_record(states[int(number)])
    known = ", ".join(f"{cohort}@{known}" for known in states)
    raise StoreError(text, "is no state of the cohort", f"Its states are {known}.")


def _by_key(record: Record, table: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {tuple(row.get(name) for name in KEYS[table]): row for row in record.tables.get(table, [])}


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for column in old.keys() | new.keys():
        before, after = old.get(column), new.get(column)
        if before != after:
            found[column] = "filled" if before is None else "emptied" if after is None else "changed"
    return found

"""What repair set aside: a damaged shard, and beside it a JSON file that says where it lay and what was wrong."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from hccfeat.store.catalog import Ask
from hccfeat.store.findings import Finding
from hccfeat.store.names import image_id_of, quarantine_folder


def reasons(study: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every JSON file of a shard in quarantine with its facts: ``path``, ``problem``, ``belongs_to``."""
    for path in sorted(quarantine_folder(study).rglob("*.json")):
        facts: dict[str, Any] = {}
        with suppress(OSError, ValueError, KeyError, TypeError):  # no reason that repair wrote
            known = json.loads(path.read_text(encoding="utf-8"))
            facts = {name: known[name] for name in ("path", "problem", "belongs_to")}
        if facts:
            yield path, facts


def without_shard(study: Path, ask: Ask) -> Finding | None:
    """Warn of images whose shard was set aside and not made again; None if there are none."""
    lacking = sorted({facts["path"] for _, facts in reasons(study) if _is_wanted(study, facts)})
    if not lacking:
        return None
    known = set(ask("SELECT image_id FROM image")["image_id"])
    lacking = [path for path in lacking if image_id_of(Path(path)) in known]
    if not lacking:
        return None
    several = f"{len(lacking)} images have no shard since theirs were set aside"
    problem = several if len(lacking) > 1 else f"{lacking[0]} was set aside, and its image has no shard since"
    remedy = "Run `hccfeat extract` (imported features: `hccfeat import`); it makes them again."
    return Finding("quarantine", problem, remedy, "warning")


def _is_wanted(study: Path, facts: dict[str, Any]) -> bool:
    """Whether nothing lies at a shard's place, its feature set is still there, and no repair was interrupted."""
    place, home = study / facts["path"], facts["belongs_to"]
    return not place.exists() and place.parents[1].is_dir() and (home is None or (study / home).exists())

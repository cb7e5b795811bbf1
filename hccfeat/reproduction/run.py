"""``hccfeat reproduce``: bring the embeddings and encoders up to date, build every item, write the report."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hccfeat.analysis.workflow import INPUT_KINDS
from hccfeat.cohort.frozen import frozen_split
from hccfeat.config import Recipe, StudyConfig
from hccfeat.errors import HccfeatError, InputError, LeakageError
from hccfeat.extraction import feature_sets
from hccfeat.extraction.cells import Cells
from hccfeat.extraction.identity import FeatureSet
from hccfeat.extraction.provenance import run_row, versions
from hccfeat.extraction.workflow import ExtractOptions, extract
from hccfeat.files import sha256_of
from hccfeat.progress import progress_bar
from hccfeat.reproduction.blocks import Block, Item, NotRunError, Table
from hccfeat.reproduction.checklist import chosen_items, needed
from hccfeat.reproduction.context import Context
from hccfeat.reproduction.presets import Preset, load_preset
from hccfeat.store.catalog import query
from hccfeat.store.committer import Committer
from hccfeat.store.records import read_records
from hccfeat.training.devices import resolve_device

Status = Literal["shown", "not run in this preset", "not possible with these data"]
METRIC_COLUMNS = (
    "endpoint", "cohort", "split", "model", "metric", "estimate", "lower", "upper", "n", "events", "method",
)  # fmt: skip


@dataclass(frozen=True)
class ReproduceRequest:
    """What the command line asks of ``reproduce``."""

    preset: str = "auto"
    only: tuple[str, ...] = ()
    external: str | None = None
    device: str = "auto"


@dataclass(frozen=True)
class BuiltItem:
    """An item with its blocks, or the reason why there are none."""

    item: Item
    status: Status
    blocks: tuple[Block, ...] = ()
    reason: str = ""


@dataclass
class Reproduction:
    """A finished reproduction."""

    run_id: str
    created: str
    study: str
    title: str
    simulated: bool
    preset: Preset
    feature_set: FeatureSet
    external: str | None
    versions: dict[str, str]
    settings: dict[str, Any]
    items: list[BuiltItem] = field(default_factory=list)


def reproduce(study: Path, config: StudyConfig, request: ReproduceRequest) -> Reproduction:
    """Run the study of paper 1 on a study's store.

    Finished embeddings and encoders are kept and found again, so that a killed run continues.

    Parameters
    ----------
    study : Path
        Study folder.
    config : StudyConfig
        Its study file.
    request : ReproduceRequest
        Preset (``auto``: ``paper`` on a GPU, else ``reduced``), items, external cohort and device.

    Raises
    ------
    InputError
        If an item, a preset or the external cohort does not exist, or there are no images.
    LeakageError
        If a judge was seen by an encoder.
    """
    started = time.time()
    items = chosen_items(request.only)
    device = resolve_device(request.device).type
    preset = load_preset(_preset_name(request.preset, device), study)
    external = _external(study, config, request.external)
    recipe = preset.base_recipe(study, config.recipe)
    feature_set = _embedded(study, config, preset, recipe, external, device)
    with Committer(study) as committer:
        frozen_split(study, committer, config)
    cells = Cells(study, config, preset, device=device, external=external)
    cells.run(needed(cells.specs(), items))
    simulated = bool(query(study, "SELECT coalesce(bool_or(simulated), false) AS s FROM cohort")["s"][0])
    context = Context(study, config, preset, recipe, feature_set, cells, external, simulated)
    run = _new_run(context, request)
    with progress_bar("Items", len(items)) as advance:
        for item in items:
            run.items.append(build(item, context))
            advance(note=item.where)
    _record(study, run, started)
    return run


def build(item: Item, context: Context) -> BuiltItem:
    """Build one item; what the preset leaves out or the data do not allow becomes its status.

    Raises
    ------
    LeakageError
        Never turned into a status.
    """
    try:
        return BuiltItem(item, "shown", tuple(item.build(context)))
    except LeakageError:
        raise
    except NotRunError as reason:
        return BuiltItem(item, "not run in this preset", reason=str(reason))
    except HccfeatError as error:
        return BuiltItem(item, "not possible with these data", reason=str(error))


def _preset_name(asked: str, device: str) -> str:
    if asked != "auto":
        return asked
    return "paper" if device == "cuda" else "reduced"


def _external(study: Path, config: StudyConfig, asked: str | None) -> str | None:
    rows = query(
        study, "SELECT DISTINCT cohort FROM image WHERE cohort <> ? ORDER BY cohort", [config.development_cohort]
    )
    known = rows["cohort"].to_list()
    if asked is None and len(known) > 1:
        listed = ", ".join(known)
        raise InputError("--external", f"is needed: cohorts {listed} have images", "Name the one that judges.")
    if asked is not None and asked not in known:
        listed = ", ".join(known) or "none"
        raise InputError(f"--external {asked}", f"has no images (cohorts with images: {listed})", "Ingest it.")
    return asked or (known[0] if known else None)


def _embedded(
    study: Path, config: StudyConfig, preset: Preset, recipe: Recipe, external: str | None, device: str
) -> FeatureSet:
    """Feature set of the chosen model, trained and embedded as far as it is missing."""
    cohorts = (config.development_cohort, *([external] if external else []))
    extract(study, config, recipe, ExtractOptions(base=preset.features, cohorts=cohorts, device=device))
    found = feature_sets.newest(study, preset.features)
    if found is None:
        raise InputError(f"feature set {preset.features}", "is not there", "Run `hccfeat extract` first.")
    return found


def _new_run(context: Context, request: ReproduceRequest) -> Reproduction:
    records = [record for record in read_records(context.study) if record.kind in INPUT_KINDS]
    settings = {
        "preset": context.preset.model_dump(mode="json"),
        "only": sorted(request.only),
        "external": context.external,
        "feature_set": context.feature_set.name,
        **context.config.model_dump(mode="json", include={"split", "analysis", "development_cohort", "recipe"}),
    }
    identity = sha256_of([settings, versions(), [record.digest for record in records]])
    return Reproduction(
        run_id=f"reproduce-{identity[:12]}",
        created=max((record.created for record in records), default=""),
        study=context.config.name,
        title=context.config.title or context.config.name,
        simulated=context.simulated,
        preset=context.preset,
        feature_set=context.feature_set,
        external=context.external,
        versions=versions(),
        settings=settings,
    )


def metric_rows(run: Reproduction) -> list[dict[str, Any]]:
    """Rows of the catalog's table ``metric``: numbers of the items' tables that carry their method."""
    rows = []
    for built in run.items:
        for block in built.blocks:
            if isinstance(block, Table):
                rows += [
                    {name: row.get(name) for name in METRIC_COLUMNS}
                    for row in block.data
                    if set(METRIC_COLUMNS) <= set(row) and row["n"] is not None
                ]
    return list({tuple(map(str, row.values())): row for row in rows}.values())


def _record(study: Path, run: Reproduction, started: float) -> None:
    with Committer(study) as committer:
        if not committer.query("SELECT 1 FROM run WHERE run_id = ?", [run.run_id]).is_empty():
            return
        row = {**run_row("reproduce", started, run.settings), "run_id": run.run_id}
        metrics = [{"run_id": run.run_id, **metric} for metric in metric_rows(run)]
        committer.record("results", run.run_id, {"run": [row], "metric": metrics}, about=run.settings)

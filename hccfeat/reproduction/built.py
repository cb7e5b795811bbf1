"""A reproduction: its items built one by one, and its record in the catalog."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from hccfeat.analysis.workflow import INPUT_KINDS
from hccfeat.config import StudyConfig
from hccfeat.errors import ConfigError, HccfeatError, LeakageError
from hccfeat.extraction.provenance import run_row, versions
from hccfeat.files import sha256_of
from hccfeat.progress import progress_bar
from hccfeat.reproduction.blocks import Block, Item, NotRunError, Table
from hccfeat.reproduction.paper import Paper
from hccfeat.store.committer import Committer
from hccfeat.store.records import read_records

Status = Literal["shown", "not run in this preset", "not possible with these data"]
METRIC_COLUMNS = (
    "endpoint", "cohort", "split", "model", "metric", "estimate", "lower", "upper", "n", "events", "method",
)  # fmt: skip


class PagePreset(Protocol):
    """What a page asks of a preset."""

    @property
    def name(self) -> str:
        """Of the preset."""
        ...

    @property
    def title(self) -> str:
        """What it runs, in a few words."""
        ...

    @property
    def reduced(self) -> bool:
        """Whether the page says everywhere that this is not the whole study."""
        ...


@dataclass(frozen=True)
class BuiltItem:
    """An item with its blocks, or the reason why there are none."""

    item: Item
    status: Status
    blocks: tuple[Block, ...] = ()
    reason: str = ""


@dataclass
class Reproduction:
    """A finished reproduction; ``methods`` are the paragraphs that its own study writes about itself."""

    run_id: str
    created: str
    study: str
    title: str
    simulated: bool
    paper: Paper
    preset: PagePreset
    versions: dict[str, str]
    settings: dict[str, Any]
    methods: list[str]
    items: list[BuiltItem] = field(default_factory=list)


def identified(study: Path, settings: dict[str, Any]) -> tuple[str, str]:
    """Identity of a run, from its settings, versions and the study's input, and the time of the newest input."""
    records = [record for record in read_records(study) if record.kind in INPUT_KINDS]
    identity = sha256_of([settings, versions(), [record.digest for record in records]])
    return f"reproduce-{identity[:12]}", max((record.created for record in records), default="")


def check_settings(config: StudyConfig) -> None:
    """Refuse a study that deals folds by site, or with Breslow's ties: the papers' are by patient, and Efron's.

    Raises
    ------
    ConfigError
        If the study file says so.
    """
    if config.analysis.folds_by == "site":
        problem = "deals folds by site, but a paper's study is reproduced with its own folds, of patients"
        raise ConfigError("hccfeat.toml", problem, 'Reproduce in a study with folds_by = "patient".')
    if config.analysis.ties != "efron":
        problem = "asks for Breslow's ties, but a paper's Cox models are reproduced with Efron's"
        raise ConfigError("hccfeat.toml", problem, 'Reproduce in a study with ties = "efron".')


def build_all(run: Reproduction, items: Sequence[Item], context: Any) -> None:
    """Build every item into ``run.items``; see :func:`build`."""
    with progress_bar("Items", len(items)) as advance:
        for item in items:
            run.items.append(build(item, context))
            advance(note=item.where)


def build(item: Item, context: Any) -> BuiltItem:
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


def record_run(study: Path, run: Reproduction, started: float) -> None:
    """Put the run and its numbers into the catalog, once."""
    with Committer(study) as committer:
        if not committer.query("SELECT 1 FROM run WHERE run_id = ?", [run.run_id]).is_empty():
            return
        row = {**run_row("reproduce", started, run.settings), "run_id": run.run_id}
        metrics = [{"run_id": run.run_id, **metric} for metric in metric_rows(run)]
        committer.record("results", run.run_id, {"run": [row], "metric": metrics}, about=run.settings)

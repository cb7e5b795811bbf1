"""What a part of the page consists of: a sentence, its status, figures, tables and a Help fold."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from markupsafe import Markup

from hccfeat.analysis.results import EndpointResult, Notice
from hccfeat.report.anchors import block_id
from hccfeat.report.formatting import CONDITION_LABELS, SPLIT_LABELS, SPLIT_ORDER, metric_label, model_label
from hccfeat.resources import resource_folder

BANNER = "SIMULATED DATA - not clinical evidence"
LEVELS: tuple[Literal["stop", "caution", "info"], ...] = ("stop", "caution", "info")
OF_TREATMENT = ": treatment"
"""How the titles of conditions end that :mod:`hccfeat.analysis.treatment_report` finds."""
_WORDS = {"stop": "Stop", "caution": "Caution", "info": "Note", "ok": "No warnings"}


@dataclass(frozen=True)
class Status:
    """How a part stands: the worst level of its conditions, a word for it, and the conditions themselves."""

    level: str
    word: str
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True)
class FigureView:
    """A figure and its caption; ``model`` is the number of the one model it shows, ``tab`` what to choose it by."""

    id: str
    svg: Markup
    caption: str
    model: int | None = None
    tab: str = ""


@dataclass(frozen=True)
class Part:
    """A stretch of a block: figures first, then tables, folds and notes.

    ``apparent`` figures show training patients: they stand in a fold where there are others.
    """

    lead: str = ""
    figures: Sequence[FigureView] = ()
    apparent: Sequence[FigureView] = ()
    tables: Sequence[Markup] = ()
    folded: Sequence[tuple[str, Markup]] = ()
    notes: Sequence[str] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (any(self.tables) or self.figures or self.apparent or any(html for _, html in self.folded))


@dataclass(frozen=True)
class Block:
    """A titled part of an endpoint's section; the prose comes from ``reports/sections.toml``."""

    key: str
    id: str
    title: str
    sentence: str
    help: Sequence[str]
    files: Sequence[str]
    status: Status
    parts: Sequence[Part]


@dataclass(frozen=True)
class Scene:
    """Where figures and tables stand: the endpoint's position, the models' numbers, whether data are simulated.

    ``labels`` are the printed names of clinical variables, ``units`` what one more of a numeric one is; from a risk
    of ``threshold`` on a patient is called positive.
    """

    index: int
    styles: Mapping[str, int]
    simulated: bool
    labels: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    threshold: float | None = None

    def caption(self, text: str) -> str:
        """Return a caption, marked where the data are simulated."""
        return f"{text} {BANNER}." if self.simulated else text

    def term(self, name: str) -> str:
        """Return the printed name of a term of a regression: a clinical variable or a model."""
        return self.labels.get(name) or model_label(name)

    def per_unit(self, name: str) -> str:
        """Return the printed name of a term whose coefficient is shown: a number with its unit."""
        unit = self.units.get(name)
        return f"{self.term(name)}, per {unit}" if unit else self.term(name)

    def metric(self, result: EndpointResult, metric: str) -> str:
        """Return the printed name of a metric of an endpoint, with its months or threshold."""
        return metric_label(metric, result.horizon_months, self.threshold)

    def marks(self, *models: str) -> tuple[int, ...]:
        """Return the numbers of some models, for the rows about them."""
        return tuple(self.styles[model] for model in models if model in self.styles)


@cache
def sections() -> Mapping[str, Mapping[str, Any]]:
    """Return the prose of every block, in the page's order."""
    return tomllib.loads((resource_folder("reports") / "sections.toml").read_text(encoding="utf-8"))


def status_of(notices: Sequence[Notice]) -> Status:
    """Return the worst level of some notices, its word, and the notices, worst first."""
    ordered = tuple(sorted(notices, key=lambda notice: LEVELS.index(notice.level)))
    level = ordered[0].level if ordered else "ok"
    return Status(level, _WORDS[level], ordered)


def block(result: EndpointResult, scene: Scene, key: str, *parts: Part) -> Block | None:
    """Return a block of an endpoint's section, None where all its parts are empty.

    Its status is that of the endpoint's conditions of the kinds that ``sections.toml`` names for it; those of the
    treatment belong to the treatment alone. Its prose may differ for endpoints without a horizon or without a time.
    """
    shown = [part for part in parts if not part.empty]
    if not shown:
        return None
    prose = sections()[key]
    if result.horizon_months is None:
        prose = {**prose, **prose.get("without_horizon" if result.timed else "without_time", {})}
    about = [n for n in result.notices if n.title.endswith(OF_TREATMENT) is (key == "treatment")]
    own = status_of([notice for notice in about if notice.kind in prose["kinds"]])
    if own.notices:
        kinds = dict.fromkeys(CONDITION_LABELS[notice.kind] for notice in own.notices if notice.kind)
        own = Status(own.level, f"{own.word}: {', '.join(kinds).lower()}", own.notices)
    name = block_id(scene.index, result.endpoint, key)
    return Block(key, name, prose["title"], prose["sentence"], prose["help"], prose["files"], own, shown)


def split_rank(split: str) -> int:
    """Return where a split stands: held-out patients first, apparent figures last."""
    return SPLIT_ORDER.index(split) if split in SPLIT_ORDER else len(SPLIT_ORDER)  # type: ignore[arg-type]


def place_label(split: str, cohort: str) -> str:
    """Return ``internal, held out``; a cohort that is called external is not called so twice."""
    if split == "external" and cohort == "external":
        return "external cohort"
    return f"{cohort}, {SPLIT_LABELS.get(split, split.replace('_', '-'))}"  # type: ignore[call-overload]


def who_label(split: str, cohort: str) -> str:
    """Return :func:`place_label` for what is no performance: there training patients are only named."""
    return f"{cohort}, patients of the fit" if split == "apparent" else place_label(split, cohort)


def short_place(split: str, cohort: str) -> str:
    """Return :func:`place_label` short enough for a figure's title."""
    return f"{cohort}, apparent" if split == "apparent" else place_label(split, cohort)


def by_place(items: Sequence[Any]) -> list[tuple[tuple[str, str], list[Any]]]:
    """Group results by (split, cohort), held-out first."""
    found: dict[tuple[str, str], list[Any]] = {}
    for item in items:
        found.setdefault((item.split, item.cohort), []).append(item)
    return sorted(found.items(), key=lambda one: split_rank(one[0][0]))

"""Who judges the encoders of the subset study, and their predictions of patches, images and patients."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, cast

import polars as pl

from hccfeat.analysis.guard import assert_unseen
from hccfeat.config import SubsetName
from hccfeat.errors import AnalysisError, ConfigError
from hccfeat.extraction.cells import Cell, Cells, CellSpec
from hccfeat.stats.clustered import Judged, judged
from hccfeat.training.protocol import FINAL, TEST, Protocol

Level = Literal["patch", "image", "patient"]
Group = Literal["test", "held_out", "external", "strict"]
UNITS: dict[Level, str] = {"patch": "patches", "image": "images", "patient": "patients"}
GROUPS: dict[Group, str] = {
    "test": "held-out part of the subset",
    "held_out": "held-out patients of the frozen split",
    "external": "external patients",
    "strict": "strict external subset",
}
NOT_RUN = "not run in this preset"
EVERYBODY = "1/1"
"""The subset that holds every candidate: judging on it selects nobody."""


@dataclass(frozen=True, eq=False)
class Judges:
    """Everybody whose predictions may be scored.

    Attributes
    ----------
    protocol : Protocol
        Candidates of the subset study, their folds, and the subsets whose members a table shows.
    relapsed : dict
        Patient -> recurrence at the last contact, of candidates, held-out and external patients.
    held_out : frozenset of str
        Untreated patients of the frozen split's test part.
    external : frozenset of str
        Untreated patients of the external cohort; empty without one.
    strict : frozenset of str
        Of these the relapse-free who lived longest and the relapsed who died soonest (P1 reading 21).
    """

    protocol: Protocol
    relapsed: dict[str, bool]
    held_out: frozenset[str]
    external: frozenset[str]
    strict: frozenset[str]

    def of_fold(self, part: str, subset: str) -> frozenset[str]:
        """Candidates of a fold who are members of a subset."""
        return self.protocol.patients(part) & self.protocol.member_of[subset]

    def of_group(self, group: Group, subset: str) -> frozenset[str]:
        """Judges of a final encoder; the subset counts only for its own held-out part."""
        if group == "test":
            return self.protocol.patients(TEST) & self.protocol.member_of[subset]
        return {"held_out": self.held_out, "external": self.external, "strict": self.strict}[group]


def make_judges(
    protocol: Protocol,
    patients: pl.DataFrame,
    os_months: Mapping[str, float],
    with_images: Collection[str],
    per_class: int,
) -> Judges:
    """Collect the judges.

    Parameters
    ----------
    protocol : Protocol
        Of the subset study.
    patients : polars.DataFrame
        ``patient_id``, ``role`` (``held_out``, ``external``, ...), ``treated`` and ``y`` (final recurrence status).
    os_months : mapping
        Patient -> observed overall survival, months; who has none cannot enter the strict external subset.
    with_images : collection of str
        Patients with at least one image.
    per_class : int
        Patients of each class in the strict external subset (P1 reading 21: 7).

    Raises
    ------
    LeakageError
        If a held-out or external patient is a candidate of the subset study.
    """
    labelled = patients.filter(
        ~pl.col("treated").fill_null(False),
        pl.col("y").is_not_null(),
        pl.col("patient_id").is_in(list(with_images)),
    )
    status = {row["patient_id"]: bool(row["y"]) for row in labelled.to_dicts()}
    by_role = {
        role: frozenset(labelled.filter(pl.col("role") == role)["patient_id"]) for role in ("held_out", "external")
    }
    for role, found in by_role.items():
        assert_unseen(found, protocol.ids, f"{role.replace('_', '-')} patients of the subset study")
    relapsed = {patient: status[patient] for found in by_role.values() for patient in found}
    relapsed |= {patient: bool(value) for patient, value in zip(protocol.ids, protocol.relapsed, strict=True)}
    strict = strict_patients({patient: status[patient] for patient in by_role["external"]}, os_months, per_class)
    return Judges(protocol, relapsed, by_role["held_out"], by_role["external"], strict)


def strict_patients(relapsed: Mapping[str, bool], os_months: Mapping[str, float], per_class: int) -> frozenset[str]:
    """The relapse-free who lived longest and the relapsed who died soonest, ``per_class`` of each (P1 reading 21).

    Ties are broken by id; a smaller class gives all its patients.
    """
    known = sorted(patient for patient in relapsed if os_months.get(patient) is not None)
    free = sorted((p for p in known if not relapsed[p]), key=lambda p: (-os_months[p], p))
    sick = sorted((p for p in known if relapsed[p]), key=lambda p: (os_months[p], p))
    return frozenset(free[:per_class] + sick[:per_class])


def predictions(
    cell: Cell,
    judges: Judges,
    who: Iterable[str],
    level: Level,
    *,
    universe: Iterable[str] | None = None,
) -> Judged:
    """Predictions of a cell for the images of some patients, each with the patient's recurrence status.

    Parameters
    ----------
    cell : Cell
        A finished encoder and what it predicted.
    judges : Judges
        Recurrence status of everybody.
    who : iterable of str
        Whose predictions count; those without a judged image drop out.
    level : {"patch", "image", "patient"}
        A patch has its probability, an image the mean of its patches, a patient the mean of the images.
    universe : iterable of str, optional
        Who is resampled, a superset of ``who``; models and subsets with the same universe are resampled together.

    Raises
    ------
    LeakageError
        If the encoder has seen one of the patients.
    """
    wanted = set(who)
    there = set(cell.images["patient_id"])
    keep = sorted(wanted & there)
    spec = cell.spec
    assert_unseen(keep, cell.seen, f"judges of {spec.model} {spec.subset} {spec.part}")
    frame = _frame(cell, keep, level)
    everyone = None if universe is None else sorted(set(universe) & there)
    return judged(
        [judges.relapsed[patient] for patient in frame["patient_id"]],
        frame["probability"].to_numpy(),
        frame["patient_id"].to_list(),
        UNITS[level],
        everyone,
    )


def _frame(cell: Cell, keep: list[str], level: Level) -> pl.DataFrame:
    mine = pl.col("patient_id").is_in(keep)
    if level == "patch":
        return cell.patches.filter(mine).with_columns(pl.col("probability").cast(pl.Float64))
    images = cell.images.filter(mine)
    if level == "image":
        return images
    return images.group_by("patient_id").agg(pl.col("probability").mean()).sort("patient_id")


@dataclass(frozen=True, eq=False)
class Bench:
    """The finished encoders, their judges, and how intervals are drawn.

    Attributes
    ----------
    cells : Cells
        Encoders of the subset study.
    judges : Judges
        Who may score them.
    resamples, seed : int
        Bootstrap of patients.
    threshold : float
        A probability at or above it is called a recurrence.
    internal, external : str
        Names of the cohorts.
    """

    cells: Cells
    judges: Judges
    resamples: int = 1000
    seed: int = 2023
    threshold: float = 0.5
    internal: str = "internal"
    external: str = "external"

    @property
    def folds(self) -> tuple[str, ...]:
        """Names of the folds."""
        return self.judges.protocol.folds

    def cell(self, model: str, subset: str, part: str) -> Cell | str:
        """A finished cell, or the reason why there is none: left out by the preset, or not trainable."""
        spec = CellSpec(model, cast("SubsetName", subset), part)
        if not self.cells.planned(spec):
            return NOT_RUN
        try:
            return self.cells.get(spec)
        except (AnalysisError, ConfigError) as error:
            return error.problem

    def of_folds(
        self, model: str, subset: str, level: Level, judged_on: str | None = None, *, together: bool = False
    ) -> tuple[dict[str, Judged], str]:
        """Predictions of each fold's encoder for the patients of that fold, and why folds are missing.

        Parameters
        ----------
        model, subset : str
            Which encoders.
        level : {"patch", "image", "patient"}
            What is scored.
        judged_on : str, optional
            Subset whose members judge: the encoder's own if not given, ``1/1`` for everybody.
        together : bool
            Resample all patients of the fold, not only the members, so that several subsets share the draws.
        """
        found: dict[str, Judged] = {}
        reasons: list[str] = []
        for part in self.folds:
            cell = self.cell(model, subset, part)
            if isinstance(cell, str):
                reasons += [] if cell == NOT_RUN else [f"{part}: {cell}"]
                continue
            who = self.judges.of_fold(part, judged_on or subset)
            universe = self.judges.of_fold(part, EVERYBODY) if together else None
            found[part] = predictions(cell, self.judges, who, level, universe=universe)
        return found, "; ".join(reasons) if reasons or found else NOT_RUN

    def of_final(self, model: str, subset: str, group: Group, level: Level) -> Judged | str:
        """Predictions of the encoder of all folds for a group of judges, or why there are none."""
        cell = self.cell(model, subset, FINAL)
        if isinstance(cell, str):
            return cell
        who = self.judges.of_group(group, subset)
        return predictions(cell, self.judges, who, level)

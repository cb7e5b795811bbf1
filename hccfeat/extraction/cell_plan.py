"""Who trains and who judges each encoder of the subset study."""

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import polars as pl

from hccfeat.cohort.described import ingested_description
from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.cohort.endpoints import label
from hccfeat.config import Recipe, StudyConfig
from hccfeat.errors import AnalysisError, LeakageError
from hccfeat.extraction.candidates import split_patients
from hccfeat.extraction.cell_specs import RECURRENCE, CellSpec, StudyPreset
from hccfeat.extraction.encoder import TrainingPlan, plan_training
from hccfeat.extraction.plan import sources
from hccfeat.extraction.tasks import Source
from hccfeat.files import sha256_of
from hccfeat.store.catalog import query
from hccfeat.training.protocol import FINAL, TEST, WHOLE, Protocol, subset_protocol

CELL_VERSION = 1
"""Raised when judging changes so that equal weights give other numbers."""


@dataclass(frozen=True)
class CellPlan:
    """One cell before it is run; ``identity`` names its file."""

    recipe: Recipe
    training: TrainingPlan
    judged: list[Source]
    identity: str


class CellPlanner:
    """Chooses the patients and images of every cell.

    Parameters
    ----------
    study : Path
        Study folder, with a frozen split.
    config : StudyConfig
        Its study file.
    preset : StudyPreset
        Models, subsets, folds and sizes.
    device : str
        Torch device; its kind enters the identities.
    external : str or None
        Cohort that judges from outside.
    """

    def __init__(
        self, study: Path, config: StudyConfig, preset: StudyPreset, device: str, external: str | None
    ) -> None:
        self.study, self.config, self.preset = study, config, preset
        self.device, self.external = device, external

    @cached_property
    def protocol(self) -> Protocol:
        """Candidates, parts and subsets.

        Raises
        ------
        AnalysisError
            If there is no frozen split, or a class is too small for the parts.
        """
        frame = self._candidates
        return subset_protocol(
            frame["patient_id"].to_list(),
            frame["relapsed"].to_numpy(),
            frame["os_months"].to_numpy(),
            frame["died"].to_numpy(),
            folds=self.preset.folds,
            test_fraction=self.preset.test_fraction,
            seed=self.preset.seed,
            deaths_only=self.recipe(CellSpec(self.preset.chosen, "1/1", WHOLE)).training.deaths_only,
        )

    def recipe(self, spec: CellSpec) -> Recipe:
        """Recipe of a cell."""
        return self.preset.cell_recipe(spec.model, spec.subset, self.study, self.config.recipe)

    def plan(self, spec: CellSpec) -> CellPlan:
        """Choose who trains and who judges a cell.

        The denoised subset that trains is selected anew from the patients of the training part alone: the
        outcome of a patient who judges decides nothing inside the cell.

        Raises
        ------
        LeakageError
            If a patient would judge an encoder that has seen them, in a part other than ``whole``.
        AnalysisError
            If the training part has too few patients of a class.
        """
        recipe = self.recipe(spec)
        candidates, forbidden = self._training_patients(spec)
        training = plan_training(candidates, self._internal, recipe, self.device, forbidden)
        judged = self._judged(spec)
        seen = set(training.considered)
        leaked = {source.patient_id for source in judged} & seen
        if leaked and spec.part != WHOLE:
            raise LeakageError(
                f"cell {spec}", f"{len(leaked)} of its judges trained it", "Report this: the parts overlap."
            )
        return CellPlan(recipe, training, judged, self._identity(spec, training, judged))

    def _training_patients(self, spec: CellSpec) -> tuple[pl.DataFrame, set[str]]:
        """Candidates of the part with their labels, and the patients that may not be among them."""
        held_out = set(self._patients.filter(pl.col("role") == "test")["patient_id"])
        if spec.part == WHOLE:
            return (self._candidates if spec.labels == RECURRENCE else self._labelled(spec.labels)), held_out
        protocol = self.protocol
        training = protocol.training(spec.part)
        frame = pl.DataFrame(
            {
                "patient_id": protocol.ids,
                "relapsed": protocol.relapsed,
                "os_months": protocol.os_months,
                "died": protocol.died,
            }
        )
        return frame.filter(pl.col("patient_id").is_in(training)), held_out | (set(protocol.ids) - training)

    def _labelled(self, endpoint: str) -> pl.DataFrame:
        """Untreated training patients with the label of an endpoint, in the place of the recurrence status.

        Nobody is selected by survival at subset 1/1, so survival is not asked for.
        """
        outcomes = query(self.study, _OUTCOMES, [self.config.development_cohort])
        minimum = ingested_description(self.study, self.config.development_cohort).minimum_follow_up_months
        definition = load_dictionary(self.study).endpoint(endpoint)
        labels = label(definition, outcomes, minimum_follow_up_months=minimum).drop_nulls("y")
        untreated = self._patients.filter((pl.col("role") == "train") & ~pl.col("treated"))
        return labels.join(untreated, on="patient_id", how="semi").select(
            "patient_id", relapsed=pl.col("y") == 1, os_months=pl.lit(0.0), died=pl.lit(value=False)
        )

    def _judged(self, spec: CellSpec) -> list[Source]:
        if spec.part == WHOLE:
            return self._internal + self._external
        if spec.part != FINAL:
            return self._of(self.protocol.patients(spec.part))
        held_out = self._patients.filter((pl.col("role") == "test") & ~pl.col("treated"))["patient_id"]
        return self._of(self.protocol.patients(TEST) | set(held_out)) + self._external

    def _of(self, patients: frozenset[str]) -> list[Source]:
        return [source for source in self._internal if source.patient_id in patients]

    def _identity(self, spec: CellSpec, training: TrainingPlan, judged: list[Source]) -> str:
        return sha256_of(
            {
                "version": CELL_VERSION,
                "training": training.sha256,
                "part": spec.part,
                "judged": [[source.image_id, source.quick_sha256, source.mpp_override] for source in judged],
                "external": [self.external, self.preset.external_patches, self.preset.seed],
            }
        )

    @cached_property
    def _patients(self) -> pl.DataFrame:
        frame = split_patients(self.study, self.config, partial(query, self.study))
        if frame.is_empty():
            raise AnalysisError(str(self.study), "has no frozen split", "Run `hccfeat extract` first.")
        return frame

    @cached_property
    def _candidates(self) -> pl.DataFrame:
        with_images = {source.patient_id for source in self._internal}
        chosen = (pl.col("role") == "train") & pl.col("eligible") & pl.col("patient_id").is_in(with_images)
        return self._patients.filter(chosen).select("patient_id", "relapsed", "os_months", "died")

    @cached_property
    def _internal(self) -> list[Source]:
        return sources(self.study, [self.config.development_cohort])

    @cached_property
    def _external(self) -> list[Source]:
        return sources(self.study, [self.external]) if self.external else []


_OUTCOMES = """
SELECT o.patient_id, o.outcome, o.months, o.event
FROM outcome AS o JOIN patient AS p USING (patient_id)
WHERE p.cohort = ? ORDER BY o.patient_id, o.outcome
"""

"""The encoders of the subset study: trained once, kept as one file each, judged where they have not learned."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from hccfeat.config import StudyConfig
from hccfeat.errors import AnalysisError, ConfigError, HccfeatError, LeakageError
from hccfeat.extraction.cell_files import Cell, read_cell
from hccfeat.extraction.cell_patches import PatchMemory
from hccfeat.extraction.cell_plan import CellPlan, CellPlanner
from hccfeat.extraction.cell_specs import CellSpec, StudyPreset, planned_cells
from hccfeat.extraction.cell_training import ExternalDraw, make_cell
from hccfeat.progress import progress_bar
from hccfeat.training.devices import resolve_device
from hccfeat.training.protocol import WHOLE, Protocol

__all__ = ["Cell", "CellSpec", "Cells"]


class Cells:
    """The encoders that a preset asks for, each kept as one file once it is finished.

    Parameters
    ----------
    study : Path
        Study folder, with a frozen split.
    config : StudyConfig
        Its study file.
    preset : StudyPreset
        Models, subsets, folds and sizes.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:<number>``.
    external : str, optional
        Cohort that judges from outside.

    Attributes
    ----------
    failed : dict
        Cells that could not be trained on these patients, and the error that :meth:`get` raises for each.
    """

    def __init__(
        self,
        study: Path,
        config: StudyConfig,
        preset: StudyPreset,
        *,
        device: str = "auto",
        external: str | None = None,
    ) -> None:
        self.study, self.preset, self.device = study, preset, str(resolve_device(device))
        self.failed: dict[CellSpec, HccfeatError] = {}
        self._draw = ExternalDraw(external, preset.external_patches, preset.seed)
        self._planner = CellPlanner(study, config, preset, self.device, external)
        self._specs = planned_cells(preset)
        self._plans: dict[CellSpec, CellPlan] = {}
        self._loaded: dict[CellSpec, Cell] = {}

    @property
    def protocol(self) -> Protocol:
        """Candidates, parts and subsets.

        Raises
        ------
        AnalysisError
            If there is no frozen split, or a class is too small for the parts.
        """
        return self._planner.protocol

    def specs(self) -> list[CellSpec]:
        """Every cell that the preset asks for, the chosen model first."""
        return list(self._specs)

    def planned(self, spec: CellSpec) -> bool:
        """Whether the preset asks for a cell."""
        return spec in self._specs

    def missing(self) -> list[CellSpec]:
        """Cells of the preset that are not finished; those that cannot be are among them."""
        return [spec for spec in self._specs if not self._finished(spec)]

    def run(self, specs: Sequence[CellSpec] | None = None) -> None:
        """Train and judge what is not finished yet.

        Every finished cell is kept at once, and a training that was killed goes on after its last epoch: run
        again to continue. A cell that these patients cannot train (too few of a class) is noted in ``failed``,
        and the others go on.

        Parameters
        ----------
        specs : sequence of CellSpec, optional
            All of the preset by default.

        Raises
        ------
        LeakageError
            If a patient would judge an encoder that has seen them.
        SlideError
            If an image file is gone or changed since it was ingested.
        """
        todo = [spec for spec in (self._specs if specs is None else specs) if not self._finished(spec)]
        todo = [spec for spec in todo if spec not in self.failed]
        if not todo:
            return
        memory = PatchMemory(self.study, self.device)
        plans = [self._plan(spec) for spec in todo]
        memory.prepare([(s, plan.recipe) for plan in plans for s in plan.training.sources + plan.judged])
        with progress_bar("Training encoders", len(todo)) as advance:
            for spec, plan in zip(todo, plans, strict=True):
                advance(0, note=str(spec))
                try:
                    self._make(spec, plan, memory)
                except (AnalysisError, ConfigError) as error:
                    self.failed[spec] = error
                advance()

    def get(self, spec: CellSpec) -> Cell:
        """Give a finished cell.

        Raises
        ------
        AnalysisError
            If it is not finished, or these patients cannot train it.
        LeakageError
            If a patient who judges it has been seen by its encoder, in a part other than ``whole``.
        StoreError
            If its file is damaged.
        """
        if spec not in self._loaded:
            if not self._finished(spec):
                missing = AnalysisError(f"cell {spec}", "is not trained", "Run `hccfeat reproduce recurrence`.")
                raise self.failed.get(spec, missing)
            cell = read_cell(self._path(spec), spec)
            if spec.part != WHOLE and not cell.seen.isdisjoint(cell.images["patient_id"]):
                raise LeakageError(
                    f"cell {spec}", "was judged on patients it has seen", "Delete its file, run again."
                )
            self._loaded[spec] = cell
        return self._loaded[spec]

    def _finished(self, spec: CellSpec) -> bool:
        try:
            return self._path(spec).is_file()
        except (AnalysisError, ConfigError) as error:
            self.failed[spec] = error
            return False

    def _path(self, spec: CellSpec) -> Path:
        return self.study / "results" / "cells" / f"{self._plan(spec).identity[:16]}.safetensors"

    def _plan(self, spec: CellSpec) -> CellPlan:
        if spec not in self._plans:
            self._plans[spec] = self._planner.plan(spec)
        return self._plans[spec]

    def _make(self, spec: CellSpec, plan: CellPlan, memory: PatchMemory) -> None:
        if self._finished(spec):  # an equal cell of another name was made in this run
            return
        work = self.study / ".hccfeat" / "training" / plan.training.sha256[:16]
        make_cell(self._path(spec), work, spec, plan, memory, self._draw, self.device)
        shutil.rmtree(work, ignore_errors=True)

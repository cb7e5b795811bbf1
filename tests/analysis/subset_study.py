"""A subset study of known truth: made-up encoders that separate the classes as well as they are told to."""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import polars as pl

from hccfeat.analysis.judges import Bench, make_judges
from hccfeat.errors import AnalysisError
from hccfeat.extraction.cells import Cell, CellSpec
from hccfeat.training.labels import SUBSETS
from hccfeat.training.protocol import FINAL, TEST, Protocol, subset_protocol

IMAGES, PATCHES, DIM = 2, 5, 6


class FakeCells:
    """Finished cells in memory, with the interface of the real ones."""

    def __init__(self, protocol: Protocol, cells: dict[CellSpec, Cell], failed: Collection[CellSpec] = ()) -> None:
        self.protocol, self.cells, self.failed = protocol, cells, set(failed)

    def specs(self) -> list[CellSpec]:
        return [*self.cells, *self.failed]

    def planned(self, spec: CellSpec) -> bool:
        return spec in self.cells or spec in self.failed

    def get(self, spec: CellSpec) -> Cell:
        if spec in self.failed:
            raise AnalysisError("subset 1/4", "has 1 relapsed patients; 2 are needed", "Add patients.")
        return self.cells[spec]


def candidates(seed: int, n: int, folds: int) -> Protocol:
    """Candidates whose survival depends on their recurrence."""
    generator = np.random.default_rng(seed)
    relapsed = np.arange(n) % 5 < 2
    months = generator.exponential(np.where(relapsed, 25.0, 60.0)) + 1
    died = generator.random(n) < 0.6
    ids = [f"internal/P{k:03d}" for k in range(n)]
    return subset_protocol(ids, relapsed, months, died, folds=folds, test_fraction=0.2, seed=seed)


def others(seed: int, held_out: int, external: int) -> tuple[pl.DataFrame, dict[str, float]]:
    """Held-out and external patients and their survival; some are treated or have no status."""
    generator = np.random.default_rng(seed + 1)
    rows, months = [], {}
    for role, cohort, count in (("held_out", "internal", held_out), ("external", "external", external)):
        for k in range(count):
            patient = f"{cohort}/{role[0].upper()}{k:03d}"
            sick = k % 3 == 0
            months[patient] = float(generator.exponential(25.0 if sick else 60.0) + 1)
            rows.append((patient, cohort, role, k == 4, None if k == 5 else int(sick)))
    schema = {"patient_id": pl.String, "cohort": pl.String, "role": pl.String, "treated": pl.Boolean, "y": pl.Int8}
    return pl.DataFrame(rows, schema=schema, orient="row"), months


def make_cell(spec: CellSpec, relapsed: dict[str, bool], seen: Collection[str], signal: float, seed: int) -> Cell:
    """A cell that judges the patients of ``relapsed`` with a signal of so many standard deviations."""
    generator = np.random.default_rng(seed)
    direction = np.ones(DIM) / np.sqrt(DIM)
    patches: list[tuple[Any, ...]] = []
    images: list[tuple[Any, ...]] = []
    vectors = {}
    for patient, sick in sorted(relapsed.items()):
        effect = signal * (sick - 0.5) + 0.5 * generator.normal()
        for image in range(IMAGES):
            name = f"{patient}_{image}"
            score = effect + 0.8 * generator.normal(size=PATCHES)
            probability = (1 / (1 + np.exp(-score))).astype(np.float32)
            vectors[name] = (score[:, None] * direction + 0.2 * generator.normal(size=(PATCHES, DIM))).astype(
                np.float32
            )
            cohort = patient.split("/")[0]
            patches += [(name, patient, cohort, 64 * k, 0, float(p)) for k, p in enumerate(probability)]
            mean = vectors[name].mean(axis=0).tolist()
            images.append((name, patient, cohort, PATCHES, float(probability.mean(dtype=np.float64)), mean))
    text, whole = pl.String(), pl.Int64()
    names = {"image_id": text, "patient_id": text, "cohort": text}
    return Cell(
        spec,
        frozenset(seen),
        {"parameters": 12_303_980},
        pl.DataFrame(patches, schema={**names, "x": whole, "y": whole, "probability": pl.Float32}, orient="row"),
        pl.DataFrame(
            images,
            schema={**names, "patches": whole, "probability": pl.Float64, "vector": pl.Array(pl.Float32, DIM)},
            orient="row",
        ),
        vectors if spec.part == FINAL else {},
    )


def make_study(
    signal: Callable[[str, str], float] = lambda model, subset: 1.5,
    *,
    models: Collection[str] = ("cnn_sasm",),
    subsets: Collection[str] = SUBSETS,
    finals: Collection[str] = ("cnn_sasm",),
    failed: Collection[CellSpec] = (),
    seed: int = 3,
    n: int = 80,
    folds: int = 2,
    held_out: int = 16,
    external: int = 24,
) -> tuple[FakeCells, pl.DataFrame, dict[str, float]]:
    """Cells of models and subsets, the other patients, and overall survival."""
    protocol = candidates(seed, n, folds)
    patients, months = others(seed, held_out, external)
    status = dict(zip(protocol.ids, (bool(value) for value in protocol.relapsed), strict=True))
    outside = {row["patient_id"]: bool(row["y"]) for row in patients.to_dicts()}
    cells = {}
    for m, model in enumerate(models):
        for subset in subsets:
            for part in (*protocol.folds, *([FINAL] if model in finals else [])):
                spec = CellSpec(model, subset, part)
                who = protocol.patients(TEST if part == FINAL else part)
                judged = {patient: status[patient] for patient in who} | (outside if part == FINAL else {})
                # The same noise for every subset of a part, so that only the signal differs.
                draw = seed + 100 * m + len(part) + (int(part[-1]) if part != FINAL else 0)
                cells[spec] = make_cell(spec, judged, protocol.training(part), signal(model, subset), draw)
    return FakeCells(protocol, {s: c for s, c in cells.items() if s not in set(failed)}, failed), patients, months


def make_bench(*args: Any, per_class: int = 4, resamples: int = 200, **options: Any) -> Bench:
    """The bench of :func:`make_study`."""
    cells, patients, months = make_study(*args, **options)
    judges = make_judges(cells.protocol, patients, months, set(patients["patient_id"]), per_class)
    return Bench(cells, judges, resamples=resamples, seed=11)

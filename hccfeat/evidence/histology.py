"""Is the signature about tissue? Patch risks of unseen simulated patients against the tissue that was drawn."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hccfeat.analysis.histology import (
    AGGRESSIVENESS,
    BETWEEN,
    COMPARTMENTS,
    POOLED,
    WITHIN,
    HistologyResult,
    Measured,
    histology,
)
from hccfeat.analysis.patch_truth import EXPECTED
from hccfeat.config import Recipe, load_recipe
from hccfeat.evidence.page import Evidence, EvidenceTable, Section
from hccfeat.evidence.paired import Paired, paired
from hccfeat.evidence.record import Part, Record, Row
from hccfeat.evidence.settings import HistologyStudy, Settings, identity, load_settings
from hccfeat.evidence.studies import Options
from hccfeat.evidence.writing import difference
from hccfeat.report.formatting import MISSING, with_interval
from hccfeat.stats.estimate import count

LABELS = {
    "nuclear_area_um2": "mean nuclear area",
    "nuclei_per_mm2": "nuclei per mm²",
    "lymphocytes_per_mm2": "lymphocytes per mm²",
    AGGRESSIVENESS: "aggressiveness A",
}
SIGNS = {**EXPECTED, AGGRESSIVENESS: 1}
DIFFERENCE, RISK = "minus the patient's tumour", "mean risk, SD"
COLUMNS = ("seed", "population", "of", "level", "value", "lower", "upper", "patients", "patches")
DECIMALS = 4
QUESTION = (
    "In the generator nuclear size and density rise with aggressiveness A, lymphocytes become fewer, and colour is "
    "independent of it. The encoder sees recurrence labels only. If its patch risk is about tissue, then over "
    "tumour patches of patients it has not seen it rises with nuclear area and density and falls with lymphocytes. "
    "Adjacent liver has smaller and fewer nuclei whatever A is, so that its risk should lie under that of tumour, "
    "with the edge between."
)
READING = (
    "Spearman correlations over tumour patches. *All patches* mixes differences between and within patients; "
    "*within patients* is the mean of the patients' own correlations; *patients' means* has one point per patient. "
    "Intervals in brackets resample patients. These are correlations with what was drawn: no tissue was changed to "
    "see what follows. Expected signs were fixed with the generator."
)
PLACES = (
    "Mean risk by compartment, and the mean difference from tumour within the patients who have both, in standard "
    "deviations of the risk of all tumour patches (for the first, from their mean); each patient counts once. An "
    "edge patch holds at least a tenth each of tumour and adjacent liver; cores have no edge."
)


def run(options: Options, study: HistologyStudy | None = None) -> Evidence:
    """Run the seeds that are missing and put the page together."""
    settings = load_settings()
    study = study or settings.histology
    record = Record(options.out / "histology.json", "histology")
    part = _part(record, settings, study)
    seeds = study.seeds[: options.replicates]
    if options.images:
        done = part.done()
        for seed in seeds:
            if (seed,) not in done:
                started = time.perf_counter()
                rows = replicate(study, seed)
                record.add(part, rows, time.perf_counter() - started)
    shown = [seed for seed in seeds if (seed,) in part.done()]
    return Evidence(
        study="histology",
        title="does the patch risk follow nuclei, lymphocytes and the tumour's edge?",
        command=options.command,
        summary=_summary(part, shown),
        sections=[
            Section("The question", [QUESTION]),
            Section("Tumour patches", [READING], _association_tables(part, shown)),
            Section("Compartments", [PLACES], _place_tables(part, shown)),
        ],
        record=record,
    )


def replicate(study: HistologyStudy, seed: int) -> list[Row]:
    """Simulate, train, embed and compare once.

    Returns
    -------
    list of list
        Rows of :data:`COLUMNS`.
    """
    from hccfeat.extraction.feature_sets import newest
    from hccfeat.extraction.workflow import ExtractOptions, extract
    from hccfeat.simulation.deliver import simulate
    from hccfeat.study import init_study

    with tempfile.TemporaryDirectory() as folder:
        overrides = {"pi": study.pi, "patients": study.patients, "width_px": study.width_px}
        overrides["external_patients"] = study.external_patients
        delivery = simulate(Path(folder) / "hospital", "demo", seed, overrides)
        opened = init_study(Path(folder) / "study", name="histology", recipe=study.recipe)
        for cohort in (delivery.internal, delivery.external):
            opened.ingest(cohort.name, cohort.clinical, slides=cohort.slides, manifest=cohort.manifest)
        extract(opened.folder, opened.config, _recipe(study), ExtractOptions(device="cpu"))
        feature_set = newest(opened.folder, "pps")
        assert feature_set is not None  # extract has just made it
        result = histology(
            opened.folder, opened.config, delivery.truth, feature_set, resamples=study.bootstraps, seed=seed
        )
    return _rows(seed, result)


def _recipe(study: HistologyStudy) -> Recipe:
    fields = load_recipe(study.recipe).model_dump(mode="json")
    fields["name"] = f"evidence-{study.recipe}"
    fields["patches"]["per_image"] = study.per_image
    return Recipe.model_validate(fields)


def _part(record: Record, settings: Settings, study: HistologyStudy) -> Part:
    facts = study.model_dump(mode="json", exclude={"seeds"})
    facts["effective_recipe"] = _recipe(study).model_dump(mode="json", exclude={"prognostic"})
    return record.part("slides", identity(settings, **facts), COLUMNS, 1)


def _rows(seed: int, result: HistologyResult) -> list[Row]:
    rows = [
        [seed, found.population, found.measure, found.level, *_numbers(found.rho)] for found in result.associations
    ]
    for place in result.places:
        rows.append([seed, place.population, place.compartment, RISK, *_numbers(place.risk)])
        rows.append([seed, place.population, place.compartment, DIFFERENCE, *_numbers(place.difference)])
    return rows


def _numbers(found: Measured) -> list[Any]:
    numbers = [None if x is None else round(x, DECIMALS) for x in (found.value, found.lower, found.upper)]
    return [*numbers, found.patients, found.patches]


def _found(part: Part, seeds: Sequence[int], population: str, of: str, level: str) -> list[dict[str, Any]]:
    rows = part.select(population=population, of=of, level=level)
    return [row for row in rows if row["seed"] in seeds]


def _over_seeds(rows: list[dict[str, Any]]) -> Paired | None:
    values = [row["value"] for row in rows if row["value"] is not None]
    return paired(values) if values else None


def _summary(part: Part, seeds: Sequence[int]) -> list[str]:
    if not seeds:
        return ["Not run: no seed is kept."]
    lines = []
    for population in ("held out", "external"):
        for measure, label in LABELS.items():
            level = BETWEEN if measure == AGGRESSIVENESS else POOLED
            found = _over_seeds(_found(part, seeds, population, measure, level))
            if found is not None:
                sign = "positive" if SIGNS[measure] > 0 else "negative"
                lines.append(
                    f"{population.capitalize()}, risk and {label} ({level}): mean Spearman {difference(found, 3)} "
                    f"over {count(found.n, 'seed')}, expected {sign}: {_verdict(found, SIGNS[measure])}."
                )
    return lines


def _verdict(found: Paired, sign: int) -> str:
    if found.lower is None:
        return "not judged, one seed"
    if found.direction == 0:
        return "not shown"
    return "as expected" if found.direction == sign else "against expectation"


def _association_tables(part: Part, seeds: Sequence[int]) -> list[EvidenceTable]:
    tables = []
    for population in ("held out", "external"):
        rows = []
        for measure, label in LABELS.items():
            for level in (POOLED, WITHIN, BETWEEN):
                found = _found(part, seeds, population, measure, level)
                if found:
                    sign = "+" if SIGNS[measure] > 0 else "-"
                    rows.append([label, level, sign, *_cells(found, seeds), _mean(found)])
        columns = ["risk against", "level", "expected", *[f"seed {seed}" for seed in seeds], "mean (over seeds)"]
        tables.append(
            EvidenceTable(columns, rows, f"{population.capitalize()} patients{_size(part, seeds, population)}:")
        )
    return tables


def _place_tables(part: Part, seeds: Sequence[int]) -> list[EvidenceTable]:
    tables = []
    for population in ("held out", "external"):
        rows = []
        for compartment in COMPARTMENTS:
            for level in (RISK, DIFFERENCE):
                found = _found(part, seeds, population, compartment, level)
                if found and any(row["value"] is not None for row in found):
                    rows.append([compartment, level, *_cells(found, seeds), _mean(found)])
        columns = ["compartment", "risk", *[f"seed {seed}" for seed in seeds], "mean (over seeds)"]
        tables.append(EvidenceTable(columns, rows, f"{population.capitalize()} patients:"))
    return tables


def _cells(found: list[dict[str, Any]], seeds: Sequence[int]) -> list[str]:
    by_seed = {row["seed"]: row for row in found}
    return [
        with_interval(by_seed[seed]["value"], by_seed[seed]["lower"], by_seed[seed]["upper"], 3)
        if seed in by_seed
        else MISSING
        for seed in seeds
    ]


def _mean(found: list[dict[str, Any]]) -> str:
    over = _over_seeds(found)
    return MISSING if over is None else difference(over, 3)


def _size(part: Part, seeds: Sequence[int], population: str) -> str:
    found = _found(part, seeds, population, "nuclear_area_um2", POOLED)
    if not found:
        return ""
    patients = "/".join(str(row["patients"]) for row in found)
    patches = "/".join(str(row["patches"]) for row in found)
    return f" ({patients} patients, {patches} tumour patches by seed)"

"""Items 2, 4 and 34 to 36: the workflow, the preprocessing, and how data set, store and folds are built."""

from collections import Counter
from typing import Any

import polars as pl
from markupsafe import Markup

from hccfeat.report.diagram import Box, diagram
from hccfeat.report.formatting import fixed
from hccfeat.report.pictures import patch_pictures
from hccfeat.report.tables import Column
from hccfeat.reproduction.blocks import Block, Figure, Item, Note, Picture, Table
from hccfeat.reproduction.context import Context
from hccfeat.reproduction.presets import ALL_SUBSETS
from hccfeat.reproduction.printed import difference, printed
from hccfeat.store.catalog import query


def workflow(context: Context) -> list[Block]:
    """Item 2, Fig 1: from slides to a risk, with this study's counts."""
    counts, recipe = _counts(context), context.recipe
    own = counts.filter(pl.col("cohort") == context.internal)
    rows = (
        (
            Box("A. Slides and outcomes", _cohort_lines(counts), 0),
            Box(
                "B. Patches",
                (
                    f"{recipe.patches.size_px} px at {recipe.patches.target_mpp:g} um/px",
                    f"background at most {100 * recipe.patches.max_background:.0f} %",
                    f"stain: {recipe.stain.method}",
                    f"{own['patches'].sum()} patches of {context.internal}",
                ),
                0,
            ),
        ),
        (
            Box(
                "C. Denoised labels",
                (
                    "final recurrence status, confirmed by survival",
                    f"subset {recipe.training.subset} of the untreated training patients",
                ),
                1,
            ),
            Box(
                "D. Encoder",
                (f"{recipe.encoder.name}", f"{context.feature_set.dim}-d signature of each patch (PPS)"),
                1,
            ),
        ),
        (
            Box("E. Prognosis", ("mean PPS of an image", "prognostic network: 1 y, 2 y, final"), 2),
            Box("Judged on", ("held-out patients", f"external cohort {context.external or '(none)'}"), 2),
        ),
    )
    caption = "From slides to a risk; paper 1 shows its own diagram as Fig 1"
    return [_diagram(rows, "Workflow of the recurrence study", caption)]


def preprocessing(context: Context) -> list[Block]:
    """Item 4: patch size, background rule, stain normalisation and patches per image."""
    recipe = context.recipe
    rows, data = [], []
    for row in _counts(context).to_dicts():
        usable = row["images"] - row["excluded"]
        mean = row["patches"] / usable if usable else None
        reference = printed("cohort", "patches_per_image") if row["cohort"] == context.internal else None
        data.append(
            {**row, "patches_per_image": mean, "printed": reference, "difference": difference(mean, reference)}
        )
        rows.append(
            {
                "cohort": row["cohort"],
                **{name: str(row[name]) for name in ("patients", "images", "excluded", "patches", "accepted")},
                "mean": fixed(mean, 1),
                "printed": "" if reference is None else str(reference),
                "difference": fixed(difference(mean, reference), 1) if reference is not None else "",
            }
        )
    columns = [
        Column("cohort", "Cohort"), Column("patients", "Patients", "right"), Column("images", "Images", "right"),
        Column("excluded", "Excluded", "right", "images without usable tissue or out of focus"),
        Column("patches", "Patches", "right"), Column("mean", "Patches per image", "right"),
        Column("printed", "Printed", "right"), Column("difference", "Difference", "right"),
        Column("accepted", "Stain fits accepted", "right"),
    ]  # fmt: skip
    patches = recipe.patches
    rule = (
        f"Patches of {patches.size_px} x {patches.size_px} px at {patches.target_mpp:g} um/px (paper: 224 x 224); "
        f"kept with at most {100 * patches.max_background:.0f} % background (paper: 50 %); at most "
        f"{patches.per_image or 'all'} per image; stain normalisation {recipe.stain.method} to a fixed target."
    )
    blocks: list[Block] = [Note(rule), Table(columns, rows, "Images and patches by cohort", data=data)]
    cohorts = [context.internal, *([context.external] if context.external else [])]
    blocks += [Picture(image, text) for text, image in patch_pictures(context.study, context.feature_set, cohorts)]
    return blocks


def architecture(context: Context) -> list[Block]:
    """Item 34, S1: cohorts, patients, images, patches."""
    rows = tuple(
        (
            Box(f"Cohort {row['cohort']}", (f"{row['patients']} patients",), place),
            Box("Images", (f"{row['images']} images", f"{row['excluded']} excluded by quality control"), place),
            Box("Patches", (f"{row['patches']} patches",), place),
            Box("Vectors", (f"{context.feature_set.dim}-d per patch", "mean per image and patient"), place),
        )
        for place, row in enumerate(_counts(context).to_dicts())
    )
    caption = "How the data set is built; the supplement of paper 1 shows its own as S1"
    return [_diagram(rows, "Architecture of the data set", caption, between=False)]


def structure(context: Context) -> list[Block]:
    """Item 35, S2: what the store holds."""
    # without the tables of results: the page would count itself
    tables = ("cohort", "patient", "outcome", "image", "split", "feature_set", "shard")
    counts = {name: query(context.study, f'SELECT count(*) AS n FROM "{name}"')["n"][0] for name in tables}
    rows = (
        (
            Box("features/", ("one HDF5 shard per image", f"{counts['shard']} shards"), 0),
            Box("records/", ("ingest, splits, runs, results", "immutable JSON"), 1),
            Box("models/", ("weights and recipes",), 2),
            Box("results/", ("reports", "cells of the subset study"), 3),
        ),
        (Box("catalog.duckdb", tuple(f"{name}: {counts[name]} rows" for name in tables), 4),),
    )
    caption = "How the data are stored; the supplement of paper 1 shows its own structure as S2"
    return [_diagram(rows, "Structure of the store", caption, between=False)]


def data_flow(context: Context) -> list[Block]:
    """Item 36, S3: who trains and who judges, in the frozen split and in the subset study."""
    roles = Counter(
        query(
            context.study,
            "SELECT s.role || CASE WHEN coalesce(p.treatment, 'none') <> 'none' THEN ' treated' ELSE '' END "
            "AS role FROM split AS s JOIN patient AS p USING (patient_id) WHERE p.cohort = ?",
            [context.internal],
        )["role"].to_list()
    )
    protocol = context.cells.protocol
    parts = Counter(protocol.part)
    folds = tuple(f"{name}: {count} patients" for name, count in sorted(parts.items()))
    sizes = tuple(f"{name}: {len(protocol.member_of[name])} patients" for name in ALL_SUBSETS)
    rows = (
        (
            Box(
                "Training patients",
                (f"{roles['train']} untreated", f"{roles['train treated']} treated: train nothing"),
                0,
            ),
            Box("Held-out patients", (f"{roles['test']} untreated", f"{roles['test treated']} treated"), 1),
            Box("External", (context.external or "no external cohort",), 2),
        ),
        (
            Box("Denoised subsets", sizes, 0),
            Box("Subset study", folds, 3),
            Box("Judges", ("a fold judges the encoder of the others", "test judges the final encoder"), 1),
        ),
    )
    caption = "Who trains and who judges; the supplement of paper 1 shows its concepts as S3"
    return [_diagram(rows, "Data flow", caption, between=False)]


def _diagram(rows: tuple[tuple[Box, ...], ...], title: str, caption: str, *, between: bool = True) -> Figure:
    def draw(key: str, simulated: bool) -> Markup:
        return diagram(key, rows, title=title, simulated=simulated, down=between)

    return Figure(draw, caption)


def _cohort_lines(counts: pl.DataFrame) -> tuple[str, ...]:
    return tuple(
        f"{row['cohort']}: {row['patients']} patients, {row['images']} images" for row in counts.to_dicts()
    )


def _counts(context: Context) -> pl.DataFrame:
    """Patients, images, excluded images, patches and accepted stain fits of the cohorts of this study."""
    cohorts = [context.internal, *([context.external] if context.external else [])]
    frame = query(context.study, _COUNTS, [context.feature_set.name])
    order: dict[str, Any] = {cohort: place for place, cohort in enumerate(cohorts)}
    return frame.filter(pl.col("cohort").is_in(cohorts)).sort(pl.col("cohort").replace_strict(order))


_COUNTS = """
SELECT i.cohort, count(DISTINCT i.patient_id) AS patients, count(*) AS images,
       count(*) FILTER (WHERE s.status = 'excluded') AS excluded,
       coalesce(sum(s.patches), 0)::BIGINT AS patches,
       count(*) FILTER (WHERE s.stain_accepted) AS accepted
FROM image AS i LEFT JOIN shard AS s ON s.image_id = i.image_id AND s.feature_set = ?
WHERE i.status = 'ok' AND coalesce(i.modality, 'slide') = 'slide' GROUP BY i.cohort
"""

ITEMS = (
    Item(2, "Fig 1", "The workflow", workflow),
    Item(4, "Methods, preprocessing", "Patches and stain normalisation", preprocessing),
    Item(34, "S1", "Architecture of the data set", architecture),
    Item(35, "S2", "Structure of the data", structure),
    Item(36, "S3", "Data flow: who trains, who judges", data_flow),
)

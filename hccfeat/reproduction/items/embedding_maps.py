"""Items 11, 12, 39 and 40: PCA and t-SNE of patches and images, coloured by recurrence status."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from hccfeat.analysis.judges import NOT_RUN, Bench, Group
from hccfeat.analysis.projection import Embedded, Map, Projection, Shown, embedded, project
from hccfeat.errors import AnalysisError
from hccfeat.report.formatting import fixed, interval
from hccfeat.report.tables import Column
from hccfeat.reproduction.blocks import Block, Figure, Note, NotRunError, Table
from hccfeat.reproduction.context import Context
from hccfeat.reproduction.subset_bench import NO_EXTERNAL, bench_of, model_name
from hccfeat.reproduction.subset_figures import Cloud, cloud_figure
from hccfeat.training.labels import SUBSETS

LEVELS: tuple[Shown, ...] = ("patch", "image")
MAPS: tuple[Map, ...] = ("pca", "tsne")
NAMES: dict[Map, str] = {"pca": "PCA", "tsne": "t-SNE"}
MOST_POINTS = 1800
"""Points of all patch panels of one figure: the page holds every point."""
FITTED = (
    "Each map is fitted on the points that it shows, without their status; colours are the patients' recurrence "
    "status. Patches of one patient lie close together whatever their status, so that islands are no evidence; the "
    "AUROC of the first component, turned towards the encoder's own probability, is given with an interval that "
    "resamples patients. Distances and sizes of islands in t-SNE have no meaning."
)


def chosen_internal(context: Context) -> list[Block]:
    """Item 11, Fig 2G: the chosen model on the held-out part of its subset."""
    return _chosen(context, "test", "held-out part")


def chosen_external(context: Context) -> list[Block]:
    """Item 12, Fig 2H: the chosen model on the strict external subset."""
    if context.external is None:
        return [Note(NO_EXTERNAL, "caution")]
    return _chosen(context, "strict", "strict external subset")


def pca_by_subset(context: Context) -> list[Block]:
    """Item 39, S6: PCA of the held-out part for the encoder of every subset."""
    return _every(context, "pca")


def tsne_by_subset(context: Context) -> list[Block]:
    """Item 40, S7: t-SNE of the held-out part for the encoder of every subset."""
    return _every(context, "tsne")


def _chosen(context: Context, group: Group, where: str) -> list[Block]:
    bench, subset = bench_of(context), context.recipe.training.subset
    limit = min(context.preset.embedding_patches, MOST_POINTS // len(MAPS))
    found = {level: _embedded(context, bench, subset, group, level, limit) for level in LEVELS}
    _check(context, list(found.values()))
    maps = [
        (f"{NAMES[method]}, {level} level", _projected(bench, found[level], method))
        for method in MAPS
        for level in LEVELS
    ]
    title = f"{model_name(context.preset.chosen)}, subset {subset}, {where}"
    return [Note(FITTED), _figure([maps[:2], maps[2:]], title), _table(maps, f"Maps of {title}")]


def _every(context: Context, method: Map) -> list[Block]:
    bench = bench_of(context)
    limit = min(context.preset.embedding_patches, MOST_POINTS) // len(SUBSETS)
    rows = []
    for level in LEVELS:
        found = [_embedded(context, bench, subset, "test", level, limit) for subset in SUBSETS]
        rows.append(
            [
                (f"{subset}, {level}", _projected(bench, one, method))
                for subset, one in zip(SUBSETS, found, strict=True)
            ]
        )
        if level == LEVELS[0]:
            _check(context, found)
    title = f"{NAMES[method]} of every subset's encoder, {model_name(context.preset.chosen)}, held-out part"
    return [Note(FITTED), _figure(rows, title), _table([one for row in rows for one in row], title)]


def _embedded(
    context: Context, bench: Bench, subset: str, group: Group, level: Shown, limit: int
) -> Embedded | str:
    return embedded(bench, context.preset.chosen, subset, group, level, limit=limit, seed=bench.seed)


def _check(context: Context, found: Sequence[Embedded | str]) -> None:
    """Refuse an item of which nothing can be shown.

    Raises
    ------
    NotRunError, AnalysisError
        As in the module's items.
    """
    reasons = [one for one in found if isinstance(one, str)]
    if len(reasons) < len(found):
        return
    model = model_name(context.preset.chosen)
    if all(reason == NOT_RUN for reason in reasons):
        raise NotRunError(f"the encoders of all folds of {model}")
    raise AnalysisError(model, reasons[0], "Add patients.")


def _projected(bench: Bench, found: Embedded | str, method: Map) -> Projection:
    if isinstance(found, str):
        return Projection(method, None, np.zeros(0, dtype=bool), "", 0, 0, 0, reason=found)
    return project(found, method, resamples=bench.resamples, seed=bench.seed)


def _figure(rows: Sequence[Sequence[tuple[str, Projection]]], title: str) -> Figure:
    clouds = [[Cloud(name, one.points, one.relapsed, one.reason) for name, one in row] for row in rows]

    def draw(key: str, simulated: bool) -> Markup:
        return cloud_figure(key, clouds, title=title, simulated=simulated)

    data = [_numbers(name, one) for row in rows for name, one in row]
    return Figure(draw, f"{title}; one point per patch or image, no axis has a unit", data)


def _numbers(name: str, found: Projection) -> dict[str, Any]:
    separation = found.separation
    return {
        "map": name,
        "points": 0 if found.points is None else len(found.points),
        "drawn_from": found.of,
        "patients": found.patients,
        "relapsed": found.events,
        "variance_1": None if found.explained is None else found.explained[0],
        "variance_2": None if found.explained is None else found.explained[1],
        "auroc_of_first_component": None if separation is None else separation.value,
        "lower": None if separation is None else separation.lower,
        "upper": None if separation is None else separation.upper,
        "method": found.reason or ("" if separation is None else separation.method),
    }


def _table(maps: Sequence[tuple[str, Projection]], caption: str) -> Table:
    data = [_numbers(name, one) for name, one in maps]
    rows = [
        {
            "map": row["map"],
            "points": f"{row['points']} of {row['drawn_from']}" if row["points"] else "",
            "patients": f"{row['patients']} ({row['relapsed']})" if row["patients"] else "",
            "variance": ""
            if row["variance_1"] is None
            else f"{100 * row['variance_1']:.0f} %, {100 * row['variance_2']:.0f} %",
            "auroc": "" if row["auroc_of_first_component"] is None else fixed(row["auroc_of_first_component"]),
            "limits": interval(row["lower"], row["upper"]),
            "method": row["method"],
        }
        for row in data
    ]
    shown = [
        Column("map", "Map"),
        Column("points", "Points", "right"),
        Column("patients", "Patients (relapsed)", "right"),
        Column("variance", "Variance of both components", "right"),
        Column("auroc", "AUROC of the first", "right"),
        Column("limits", "95 % interval", "right"),
        Column("method", "Method"),
    ]
    return Table(shown, rows, caption, data=data)

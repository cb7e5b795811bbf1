"""Item 17 (Fig 3B-C): whole-slide risk maps of judged slides, as pictures and as files for a slide viewer."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hccfeat.errors import HccfeatError, InputError
from hccfeat.explanation.annotations import Annotation, read_annotations
from hccfeat.explanation.drawing import GridRow, grid
from hccfeat.explanation.files import write_geojson, write_overlay
from hccfeat.explanation.riskmap import BETWEEN, HIGH, LOW, RiskMap, overlay_factor
from hccfeat.explanation.slide_picture import slide_picture
from hccfeat.explanation.whole_slide import risks_of_unsampled
from hccfeat.extraction.tasks import Source
from hccfeat.models import Encoder
from hccfeat.report.formatting import fixed
from hccfeat.report.tables import Column
from hccfeat.reproduction.blocks import Block, Download, Note, Picture, Table
from hccfeat.reproduction.context import Context
from hccfeat.reproduction.items.judged_patches import (
    OUTCOMES,
    annotations_file,
    encoder_of,
    judged_patches,
    prepared,
    source_of,
)
from hccfeat.slides.base import Slide
from hccfeat.slides.patches import PatchStatus
from hccfeat.slides.prepare import PreparedImage
from hccfeat.slides.readers import open_slide
from hccfeat.stats.estimate import count
from hccfeat.training.devices import resolve_device
from hccfeat.units import Level0Px

EXTREME_PATCHES = 6
KEY = 12
NARROW = 0.05
PICTURE_PX = 600
ABOUT = (
    "Every usable patch of the slide is coloured by its recurrence risk; patches that quality control left out are "
    "not. At each threshold t a patch is high from t on, low up to 1 - t (P1 reading 38). The GeoJSON opens in "
    'QuPath over the original slide, which its key finds: hccfeat sql "SELECT image_id FROM image WHERE '
    "quick_sha256 LIKE '<key>%'\". A risk map shows what this encoder makes of each place on its own; it is no map "
    "of tumour, and no region of it has been checked against outcome."
)


@dataclass(frozen=True)
class MappedSlide:
    """One slide with the risks of all its usable patches.

    Attributes
    ----------
    name : str
        Of its files: ``slide-1-recurrence``.
    key : str
        First characters of its file's hash.
    risk : RiskMap
        Stored and newly classified patches.
    picture, overlay : uint8 (h, w, 3)
        The slide small, and with its sides divided by ``factor``.
    factor : int
        Level-0 pixels per overlay pixel.
    extremes : bytes
        PNG of the patches of highest and lowest risk.
    annotations : list of Annotation
        Outlines, if a file gives any.
    problem : str
        What is wrong with that file; empty if nothing is.
    """

    name: str
    key: str
    risk: RiskMap
    picture: NDArray[np.uint8]
    overlay: NDArray[np.uint8]
    factor: int
    extremes: bytes
    annotations: list[Annotation]
    problem: str


def risk_maps(context: Context) -> list[Block]:
    """Item 17, Fig 3B-C: risk maps of external slides, of held-out ones where there is no external cohort."""
    role = "external" if context.external else "held_out"
    patches = judged_patches(context, role)
    encoder = encoder_of(context)
    where = f"external cohort {context.external}" if context.external else "held-out patients"
    blocks: list[Block] = [Note(ABOUT)]
    slides = []
    for relapsed, outcome in OUTCOMES.items():
        for number, image_id in enumerate(_slides(patches, relapsed, context.preset.risk_map_slides), start=1):
            name = f"slide-{number}-{outcome.replace(' ', '-')}"
            source = source_of(context, image_id)
            try:
                slide = _mapped(context, encoder, patches.filter(pl.col("image_id") == image_id), source, name)
            except HccfeatError:  # its message names the image
                key = source.quick_sha256[:KEY]
                blocks.append(
                    Note(f"{name} (key {key}) cannot be mapped: its image cannot be read now.", "caution")
                )
                continue
            slides.append((outcome, slide))
            blocks += _blocks(context, slide, f"{outcome}, {where}")
    if slides:
        blocks[1:1] = [_table(context, slides), *_narrow([slide.risk for _, slide in slides])]
    return blocks


def _slides(patches: pl.DataFrame, relapsed: int, wanted: int) -> list[str]:
    """Slides of one outcome, the one with the most stored patches of each patient; then by patches and name."""
    counts = patches.filter(pl.col("relapsed") == relapsed).group_by("patient_id", "image_id").len()
    order = counts.sort(["len", "image_id"], descending=[True, False])
    return order.unique("patient_id", keep="first", maintain_order=True)["image_id"].head(wanted).to_list()


def _mapped(context: Context, encoder: Encoder, stored: pl.DataFrame, source: Source, name: str) -> MappedSlide:
    image = prepared(context, source.image_id)
    side = Level0Px(image.patch_size_level0)
    left_out = image.skipped_coords[image.skipped_status == PatchStatus.NOT_SAMPLED]
    recipe = context.feature_set.slide_recipe
    device = resolve_device("auto").type
    with open_slide(Path(source.path), source.mpp_override) as slide:
        more, risks = risks_of_unsampled(slide, left_out, side, image.stain, recipe, encoder, device=device)
        encoder.cpu()
        info = slide.info
        risk = RiskMap(
            np.concatenate([stored.select("x", "y").to_numpy(), more]),
            side,
            np.concatenate([stored["probability"].to_numpy(), risks]),
            info.width,
            info.height,
            info.mpp,
        )
        factor = overlay_factor(risk)
        overlay = slide.thumbnail(info.mpp * factor).rgb
        picture = slide.thumbnail(info.mpp * max(1.0, max(info.width, info.height) / PICTURE_PX)).rgb
        extremes = _extremes(slide, image, stored, context.simulated)
    outlines, problem = _annotations(annotations_file(context.study, source.image_id))
    return MappedSlide(
        name,
        source.quick_sha256[:KEY],
        risk,
        picture,
        overlay,
        factor,
        extremes,
        outlines,
        problem,
    )


def _annotations(path: Path) -> tuple[list[Annotation], str]:
    """Outlines of a slide, and what is wrong with their file, without its name, which names the image."""
    if not path.is_file():
        return [], ""
    try:
        return read_annotations(path), ""
    except InputError as error:
        return [], f"file{error.entity.removeprefix(str(path))}: {error.problem}"


def _extremes(slide: Slide, image: PreparedImage, stored: pl.DataFrame, simulated: bool) -> bytes:
    """Stored patches of the highest and lowest risk, as scanned and as embedded."""
    each = max(1, min(EXTREME_PATCHES, stored.height // 2))
    order = stored.sort(["probability", "row"], descending=[True, False])
    chosen = pl.concat([order.head(each), order.tail(each).reverse()])
    rows = chosen["row"].to_list()
    side = Level0Px(image.patch_size_level0)
    raw = [
        slide.read(Level0Px(int(x)), Level0Px(int(y)), side, image.patches.shape[1]) for x, y in image.coords[rows]
    ]
    risks = chosen["probability"].to_list()
    decimals = 2 if max(risks) - min(risks) >= 0.05 else 4
    return grid(
        [GridRow("as scanned", raw), GridRow("normalised", [image.patches[row] for row in rows])],
        captions=[f"{risk:.{decimals}f}" for risk in risks],
        groups=[("highest risk", each), ("lowest risk", each)],
        cell_px=72,
        simulated=simulated,
    )


def _blocks(context: Context, slide: MappedSlide, words: str) -> list[Block]:
    thresholds, simulated = context.preset.risk_thresholds, context.simulated
    chosen = classes_threshold(thresholds)
    picture = slide_picture(
        slide.risk, slide.picture, thresholds, annotations=slide.annotations, simulated=simulated
    )
    outlined = f"; {count(len(slide.annotations), 'annotated region')} outlined" if slide.annotations else ""
    caption = f"{slide.name} (key {slide.key}; {words}): risk map at {len(thresholds)} thresholds{outlined}"
    caution = f"The annotations of {slide.name} (key {slide.key}) are not drawn: {slide.problem}."
    return [
        *([Note(caution, "caution")] if slide.problem else []),
        Picture(picture, caption),
        Picture(slide.extremes, f"{slide.name}: stored patches of the highest and the lowest risk"),
        Download(
            f"{slide.name}-{slide.key}.geojson",
            partial(write_geojson, risk=slide.risk, threshold=chosen, simulated=simulated),
            f"patches of {slide.name} with their risk, classes at {chosen:g}: for QuPath, over the original slide",
        ),
        Download(
            f"{slide.name}-{slide.key}.tif",
            partial(write_overlay, risk=slide.risk, slide=slide.overlay, factor=slide.factor, simulated=simulated),
            f"{slide.name} with its risks as a pyramid, {slide.risk.mpp * slide.factor:g} um per pixel",
        ),
    ]


def _narrow(risks: list[RiskMap]) -> list[Note]:
    """Say when the risks differ too little for thresholds to tell patches apart."""
    values = np.concatenate([risk.probability for risk in risks])
    low, high = float(values.min()), float(values.max())
    if high - low >= NARROW:
        return []
    text = (
        f"All risks of these slides lie between {low:.4f} and {high:.4f}, too close for thresholds to tell patches "
        "apart; the second panel of each picture is stretched over its slide's own range."
    )
    return [Note(text, "info")]


def classes_threshold(thresholds: tuple[float, ...]) -> float:
    """Threshold of the classes in the GeoJSON: the lowest that leaves patches between high and low."""
    return min((t for t in thresholds if t > 0.5), default=thresholds[0])


def _table(context: Context, slides: list[tuple[str, MappedSlide]]) -> Table:
    data: list[dict[str, Any]] = []
    for outcome, slide in slides:
        for threshold in context.preset.risk_thresholds:
            counts = slide.risk.counts(threshold)
            data.append(
                {
                    "slide": slide.name,
                    "outcome": outcome,
                    "patches": len(slide.risk.probability),
                    "mean_risk": float(slide.risk.probability.mean(dtype=np.float64)),
                    "threshold": threshold,
                    "high": counts[HIGH],
                    "between": counts[BETWEEN],
                    "low": counts[LOW],
                }
            )
    rows = [
        {
            **{key: str(row[key]) for key in ("patches", "high", "between", "low")},
            "group": f"{row['slide']}: {row['patches']} patches, mean risk {fixed(row['mean_risk'], 3)}",
            "threshold": f"{row['threshold']:g}",
        }
        for row in data
    ]
    columns = [
        Column("threshold", "Threshold"),
        Column("high", "High", "right", "patches with a risk of at least the threshold"),
        Column("between", "Between", "right"),
        Column("low", "Low", "right", "patches with a risk of at most 1 - threshold"),
    ]
    caption = "Patches of each mapped slide by class; the slides with the most stored patches of each outcome"
    return Table(columns, rows, caption, "group", data)

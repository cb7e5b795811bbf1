"""Pictures for the report: patches of one image per cohort before and after stain normalisation."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from hccfeat.errors import HccfeatError
from hccfeat.extraction.identity import FeatureSet
from hccfeat.extraction.patch_cache import prepared_image
from hccfeat.extraction.plan import sources
from hccfeat.slides.readers import open_slide
from hccfeat.store.catalog import query
from hccfeat.units import Level0Px

PATCHES = 6
SHOWN_PX = 112
GAP_PX = 4


def patch_pictures(study: Path, feature_set: FeatureSet, cohorts: list[str]) -> list[tuple[str, bytes]]:
    """Show how the encoder of slides sees each cohort; a feature set of MRI exams has no patches to show.

    Parameters
    ----------
    study : Path
        Study folder.
    feature_set : FeatureSet
        Its preprocessing is shown.
    cohorts : list of str
        One picture each, of the image with the most usable patches.

    Returns
    -------
    list of (str, bytes)
        Caption and JPEG: upper row as scanned, lower row normalised. A cohort whose file cannot be read now
        has no picture.
    """
    if feature_set.modality != "slide":
        return []
    counts = query(
        study,
        "SELECT image_id FROM shard WHERE feature_set = ? AND patches > 0 ORDER BY patches DESC, image_id",
        [feature_set.name],
    )["image_id"].to_list()
    pictures = []
    for cohort in cohorts:
        known = {source.image_id: source for source in sources(study, [cohort])}
        source = next((known[image_id] for image_id in counts if image_id in known), None)
        if source is None:
            continue
        try:
            image = prepared_image(study, source, feature_set.slide_recipe, device="cpu", keep=False)
            chosen = np.linspace(0, len(image.coords) - 1, min(PATCHES, len(image.coords))).astype(int)
            side = Level0Px(image.patch_size_level0)
            with open_slide(Path(source.path), source.mpp_override) as slide:
                corners = [(Level0Px(int(x)), Level0Px(int(y))) for x, y in image.coords[chosen]]
                raw = [slide.read(x, y, side, SHOWN_PX) for x, y in corners]
        except (HccfeatError, OSError):
            continue
        caption = f"Cohort {cohort}: patches as scanned (above) and after stain normalisation (below)"
        pictures.append((caption, _montage([raw, [image.patches[i] for i in chosen]])))
    return pictures


def _montage(rows: list[list[np.ndarray]]) -> bytes:
    step = SHOWN_PX + GAP_PX
    canvas = Image.new("RGB", (step * len(rows[0]) - GAP_PX, step * len(rows) - GAP_PX), "white")
    for y, row in enumerate(rows):
        for x, patch in enumerate(row):
            canvas.paste(Image.fromarray(patch).resize((SHOWN_PX, SHOWN_PX)), (x * step, y * step))
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()

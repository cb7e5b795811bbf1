"""From the store to the modalities that are compared: image vectors of each feature set, and clinical items."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hccfeat.analysis.data import EndpointData
from hccfeat.analysis.load import clinical_rows, image_vectors, learners, modality_of, well_recorded
from hccfeat.analysis.modality_models import CLINICAL_INPUT, ModalityInput
from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.cohort.items import ItemSet, item_matrix, load_items
from hccfeat.config import MriRecipe
from hccfeat.errors import AnalysisError
from hccfeat.extraction.identity import FeatureSet

DEFAULT_ITEMS = "mri52"
ENOUGH_ITEMS = 0.5
"""Share of an item set that must be recorded before its items stand for the clinical modality."""


def load_inputs(study: Path, data: EndpointData, sets: Sequence[FeatureSet]) -> list[ModalityInput]:
    """Load what each modality says about the patients of an endpoint.

    The clinical modality is the item set of the MRI recipe (``mri52`` where there is none) if at least half of its
    items are recorded in its training patients, and the endpoint's indicators if not; items that would give the
    endpoint away are left out.

    Parameters
    ----------
    study : Path
        Study folder.
    data : EndpointData
        Of the endpoint, for its patients and indicators.
    sets : sequence of FeatureSet
        One per image modality.

    Raises
    ------
    AnalysisError
        If a feature set has no vectors.
    """
    bases = Counter(found.base for found in sets)
    inputs = [
        _of_images(study, found, found.base if bases[found.base] == 1 or found.fold is not None else found.name)
        for found in sets
    ]
    clinical = _of_items(study, data, sets)
    return [*inputs, clinical] if clinical is not None else inputs


def _of_images(study: Path, found: FeatureSet, name: str) -> ModalityInput:
    """Mean vector over the images of each patient, each image counting once."""
    frame, seen = image_vectors(study, found)
    if frame is None:
        raise AnalysisError(f"feature set {found.name}", "has no vectors", "Run `hccfeat extract` first.")
    matrix = np.stack([np.asarray(vector, dtype=np.float64) for vector in frame["vector"]])
    owners, rows = np.unique(frame["patient_id"].to_numpy(), return_inverse=True)
    total = np.zeros((len(owners), matrix.shape[1]))
    np.add.at(total, rows, matrix)
    mean = total / np.bincount(rows)[:, None]
    label = f"{'MRI' if modality_of(found) == 'mri' else 'Slides'} ({name})"
    detail = f"{found.name}, {matrix.shape[1]} dimensions"
    return ModalityInput(name, label, detail, dict(zip(owners.tolist(), mean, strict=True)), frozenset(seen))


def _of_items(study: Path, data: EndpointData, sets: Sequence[FeatureSet]) -> ModalityInput | None:
    dictionary = load_dictionary(study)
    recipes = [found.recipe for found in sets]
    names = [recipe.items for recipe in recipes if isinstance(recipe, MriRecipe)] or [DEFAULT_ITEMS]
    whole = load_items(names[0], study)
    allowed = [item for item in whole.items if item not in dictionary.endpoint(data.endpoint).hidden]
    table = clinical_rows(study, data.patients["patient_id"].to_list())
    recorded = well_recorded(table.join(learners(data.patients), on="patient_id", how="semi"), allowed)
    if len(recorded) >= ENOUGH_ITEMS * len(allowed):
        chosen, label = recorded, f"Clinical items ({len(recorded)})"
        detail = f"{len(recorded)} of the {len(whole.items)} items of {whole.name}"
    else:
        chosen, label = data.indicator_names, f"Indicators ({len(data.indicator_names)})"
        detail = ", ".join(data.indicator_names)
    if not chosen:
        return None
    matrix = item_matrix(table, ItemSet(name=whole.name, items=tuple(chosen)), dictionary)
    known = np.flatnonzero(np.isfinite(matrix).any(axis=1))
    vectors = {str(table["patient_id"][row]): matrix[row] for row in known.tolist()}
    return ModalityInput(CLINICAL_INPUT, label, detail, vectors)

"""Attention multiple-instance learning on the patch vectors behind the image vectors (Ilse et al. 2018)."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hccfeat.analysis.comparators.inputs import Training
from hccfeat.analysis.data import PatchBags, Population
from hccfeat.analysis.models import FittedModel, classifier
from hccfeat.errors import AnalysisError

ATTENTION_MIL = "attention_mil"
PATIENTS_AT_ONCE = 32
"""Whose bags are held while risks are predicted."""


def fit_attention(train: Training, settings: Mapping[str, float]) -> FittedModel:
    """Gated-attention network on bags of patch vectors with the patients' labels; torch is imported here."""
    from hccfeat.training.mil import MilSettings, fit_mil

    if train.bags is None:
        raise AnalysisError(f"cohort {train.patients.cohort}", "has no patch vectors", "Extract the images first.")
    bags = train.bags
    chosen = MilSettings(weight_decay=settings["weight_decay"], epochs=int(settings["epochs"]), seed=train.seed)
    model = fit_mil(bags(train.patients.ids), train.patients.y, chosen)
    known: dict[str, float] = {}

    def predict(patients: Population) -> NDArray[np.float64]:
        unknown = [patient for patient in patients.ids if patient not in known]
        for start in range(0, len(unknown), PATIENTS_AT_ONCE):
            some = unknown[start : start + PATIENTS_AT_ONCE]
            known.update(zip(some, model.predict(bags(some)).tolist(), strict=True))
        return np.array([known[patient] for patient in patients.ids])

    return classifier(
        ATTENTION_MIL,
        f"gated-attention multiple-instance learning on patch vectors of {model.mean.size} dimensions (hidden "
        f"{chosen.hidden}, attention {chosen.attention}, at most {chosen.patches} patches of a patient at each "
        f"step, AdamW, learning rate {chosen.learning_rate:g})",
        predict,
    )


def remembered(bags: PatchBags, patients: Sequence[str]) -> PatchBags:
    """Bags of some patients held in memory, for tuning, which reads them for every setting; others are read."""
    held = dict(zip(patients, bags(patients), strict=True))

    def read(wanted: Sequence[str]) -> list[NDArray[np.float32]]:
        others = [patient for patient in wanted if patient not in held]
        fresh = dict(zip(others, bags(others), strict=True)) if others else {}
        return [held[patient] if patient in held else fresh[patient] for patient in wanted]

    return read

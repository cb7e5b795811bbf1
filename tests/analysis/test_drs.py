from pathlib import Path

import numpy as np
import pytest

from hccfeat.analysis.drs import deep_risk_scores
from hccfeat.extraction import feature_sets
from hccfeat.features.frames import patient_frame
from hccfeat.store.scan import scan_patches
from hccfeat.training.encoder import load_encoder
from hccfeat.training.risk import recurrence_probabilities


def test_patch_then_image_then_patient(extracted_study: Path) -> None:
    feature_set = feature_sets.newest(extracted_study, "pps")
    assert feature_set is not None
    found = deep_risk_scores(extracted_study, feature_set, "internal")
    known = patient_frame(extracted_study, "pps-1")
    assert set(found["patient_id"]) == set(known.filter(known["cohort"] == "internal")["patient_id"])
    assert found["drs"].is_between(0, 1).all()
    patient = found["patient_id"][0]
    patches = scan_patches(extracted_study, "pps-1").collect()
    mine = patches.filter(patches["image_id"].str.starts_with(f"{patient}_"))
    encoder = load_encoder(extracted_study / "models" / "pps-1" / "weights.safetensors", feature_set.recipe)
    per_image = [
        recurrence_probabilities(encoder, image["vector"].to_numpy().astype(np.float32)).mean(dtype=np.float64)
        for _, image in mine.group_by("image_id")
    ]
    assert len(per_image) >= 1
    assert found["drs"][0] == pytest.approx(np.mean(per_image), rel=1e-6)

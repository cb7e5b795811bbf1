"""Makes the golden study of shard format 1 (run once, by hand: ``python -m tests.store.golden.make``).

The files are committed and never made again: a later hccfeat must load them as they are. A new format gets a
golden study of its own beside this one.
"""

from pathlib import Path

import numpy as np

from hccfeat.store.records import write_record
from hccfeat.store.shards import Shard, write_shard

FOLDER = Path(__file__).parent / "v1"
SHA = "5f" * 32


def golden_shard() -> Shard:
    """What the golden shard holds, written out so that the expectation does not rest on a generator."""
    grid = np.arange(12, dtype=np.float32).reshape(3, 4)
    return Shard(
        image_id="internal/P0001_1",
        feature_set="pps-1",
        feature_set_sha256=SHA,
        vectors=(grid / 8 - 0.5).astype(np.float32),
        coords=np.array([[0, 0], [448, 0], [0, 448]], dtype=np.int64),
        skipped_coords=np.array([[448, 448], [896, 0]], dtype=np.int64),
        skipped_status=np.array([1, 4], dtype=np.uint8),
        attributes={"status": "ok", "mpp": 0.25, "patch_size": 224, "reason": "", "tissue_fraction": 0.75},
    )


def golden_tables() -> dict[str, list[dict]]:
    return {
        "cohort": [{"cohort": "internal", "title": "Ä", "simulated": True}],
        "patient": [{"patient_id": "internal/P0001", "cohort": "internal", "treatment": None}],
        "clinical": [{"patient_id": "internal/P0001", "afp": 12.5, "bclc": "A"}],
        "image": [{"image_id": "internal/P0001_1", "patient_id": "internal/P0001", "cohort": "internal"}],
    }


def main() -> None:
    columns = {"clinical_columns": {"afp": "DOUBLE", "bclc": "VARCHAR"}}
    write_record(FOLDER, "ingest", "internal", golden_tables(), about=columns)
    row = {"feature_set": "pps-1", "base": "pps", "version": 1, "sha256": SHA, "dim": 4, "recipe": {"name": "tiny"}}
    write_record(FOLDER, "feature_sets", "pps-1", {"feature_set": [row]})
    write_shard(FOLDER, golden_shard())


if __name__ == "__main__":
    main()

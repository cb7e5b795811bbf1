"""The materialised vectors of images and patients; every function runs inside the caller's transaction."""

from collections.abc import Sequence

import duckdb
import numpy as np
import pyarrow as pa

from hccfeat.store.names import image_table, patient_table
from hccfeat.store.shards import ShardInfo


def write_image_vectors(
    connection: duckdb.DuckDBPyConnection, feature_set: str, shards: Sequence[ShardInfo], replaced: Sequence[str]
) -> None:
    """Write the image vectors of some shards, and the means of their patients.

    Runs inside the caller's transaction. Shards without patches have no vector. ``replaced`` are the images that
    had a shard before.
    """
    table = image_table(feature_set)
    affected: set[str | None] = set()
    if replaced:
        affected.update(_patients(connection, table, replaced).values())
        connection.execute(
            f'DELETE FROM "{table}" WHERE image_id IN (SELECT unnest(?::VARCHAR[]))', [list(replaced)]
        )
    shards = [info for info in shards if info.patches]
    if shards:
        patients = _patients(connection, "image", [info.image_id for info in shards])
        incoming = pa.table(
            {
                "image_id": [info.image_id for info in shards],
                "patient_id": pa.array([patients.get(info.image_id) for info in shards], type=pa.string()),
                "cohort": [info.image_id.partition("/")[0] for info in shards],
                "patches": [info.patches for info in shards],
                "mean": _fixed_size(np.stack([info.mean for info in shards])),
                "sd": _fixed_size(np.stack([info.sd for info in shards])),
            }
        )
        connection.register("incoming", incoming)
        connection.execute(
            f'INSERT INTO "{table}" SELECT image_id, patient_id, cohort, patches, mean, sd FROM incoming'
        )
        connection.unregister("incoming")
        affected.update(patients.values())
    _refresh_patients(connection, feature_set, {patient for patient in affected if patient is not None})


def _patients(connection: duckdb.DuckDBPyConnection, table: str, image_ids: Sequence[str]) -> dict[str, str | None]:
    rows = connection.execute(
        f'SELECT image_id, patient_id FROM "{table}" WHERE image_id IN (SELECT unnest(?::VARCHAR[]))',
        [list(image_ids)],
    ).fetchall()
    return dict(rows)


def _refresh_patients(connection: duckdb.DuckDBPyConnection, feature_set: str, patients: set[str]) -> None:
    """Recompute the means of some patients over their images."""
    if not patients:
        return
    table, ids = patient_table(feature_set), sorted(patients)
    connection.execute(f'DELETE FROM "{table}" WHERE patient_id IN (SELECT unnest(?::VARCHAR[]))', [ids])
    images = connection.sql(
        f'SELECT patient_id, cohort, patches, mean FROM "{image_table(feature_set)}" '
        "WHERE patient_id IN (SELECT unnest(?::VARCHAR[])) ORDER BY patient_id, image_id",
        params=[ids],
    ).to_arrow_table()
    if images.num_rows == 0:
        return
    names = np.asarray(images["patient_id"].to_pylist())
    starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]])
    counts = np.diff(np.r_[starts, len(names)])
    # Float64 in order of image id: the order of commits leaves no trace.
    vectors = images["mean"].combine_chunks().flatten().to_numpy().reshape(len(names), -1).astype(np.float64)
    means = np.add.reduceat(vectors, starts, axis=0) / counts[:, None]
    incoming = pa.table(
        {
            "patient_id": [str(name) for name in names[starts]],
            "cohort": images["cohort"].take(starts),
            "images": counts.astype(np.int64),
            "patches": np.add.reduceat(images["patches"].to_numpy(), starts),
            "mean": _fixed_size(means.astype(np.float32)),
        }
    )
    connection.register("incoming", incoming)
    connection.execute(f'INSERT INTO "{table}" SELECT patient_id, cohort, images, patches, mean FROM incoming')
    connection.unregister("incoming")


def realign_vectors(connection: duckdb.DuckDBPyConnection) -> None:
    """Give image vectors the patient that table ``image`` names now, and follow with the patients' means."""
    for (feature_set,) in connection.execute("SELECT feature_set FROM feature_set").fetchall():
        table = image_table(feature_set)
        moved = connection.execute(
            f'SELECT v.image_id, v.patient_id, i.patient_id FROM "{table}" AS v '
            "LEFT JOIN image AS i ON i.image_id = v.image_id WHERE v.patient_id IS DISTINCT FROM i.patient_id"
        ).fetchall()
        if not moved:
            continue
        connection.execute(
            f'UPDATE "{table}" AS v SET patient_id = '
            "(SELECT i.patient_id FROM image AS i WHERE i.image_id = v.image_id) "
            "WHERE image_id IN (SELECT unnest(?::VARCHAR[]))",
            [[row[0] for row in moved]],
        )
        affected = {patient for row in moved for patient in row[1:] if patient is not None}
        _refresh_patients(connection, feature_set, affected)


def _fixed_size(vectors: np.ndarray) -> pa.FixedSizeListArray:
    flat = np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), vectors.shape[1])

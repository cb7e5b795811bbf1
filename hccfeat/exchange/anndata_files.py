"""AnnData: one ``.h5ad`` per slide, a row per patch, corners in ``obsm["spatial"]`` as level-0 pixels."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hccfeat.errors import InputError
from hccfeat.exchange.bag import Bag, Facts, FoundFile, contradicts, coordinates, float_vectors, text, unreadable
from hccfeat.exchange.exported import Exported, FloatType
from hccfeat.exchange.finding import by_stem, files_in, nothing_found
from hccfeat.exchange.hdf5 import opened
from hccfeat.files import write_atomically

if TYPE_CHECKING:
    from types import ModuleType

PLACES = "spatial"
OURS = "hccfeat"
"""Entry of ``uns`` with what a shard says beside vectors and coordinates."""


def library() -> "ModuleType":
    """The package anndata.

    Raises
    ------
    InputError
        If it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its import may warn of packages that it would rather have
            import anndata
    except ImportError as error:
        remedy = "Run `pip install hccfeat[anndata]`."
        raise InputError("--format h5ad", "needs the package anndata", remedy) from error
    return anndata


def find(path: Path, coords: Path | None = None) -> list[FoundFile]:
    """Find every ``.h5ad`` below a folder.

    Raises
    ------
    InputError
        If there are none, or anndata is not installed.
    """
    del coords  # each file has its own
    library()
    found = by_stem([path] if path.is_file() else files_in(path, ".h5ad", below=True))
    if not found:
        raise nothing_found(path, "AnnData", "the folder with one .h5ad per slide")
    return found


def facts(file: FoundFile) -> Facts:
    """Dimension, dtype and encoder of one file, without its vectors."""
    with opened(file.path) as opened_file:
        matrix = opened_file["X"]
        if not hasattr(matrix, "shape"):
            raise contradicts(file.path, "holds a sparse X", "Store the features as a dense matrix.")
        kept = opened_file.get(f"uns/{OURS}/encoder")
        encoder = None if kept is None else text(kept[()])
        rows, dim = matrix.shape
        return Facts(int(dim), matrix.dtype.name if rows else None, encoder)


def read(file: FoundFile) -> Bag:
    """Read one file.

    Raises
    ------
    SlideError
        If it is damaged, sparse, or its arrays disagree.
    InputError
        If anndata is not installed.
    """
    anndata = library()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old encodings, which read all the same
            data = anndata.read_h5ad(file.path)
    except Exception as error:  # anndata raises errors of many kinds on a damaged file
        raise unreadable(file.path, str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    if not isinstance(data.X, np.ndarray):
        raise contradicts(file.path, "holds no dense matrix X", "Store the features as a dense matrix.")
    vectors = float_vectors(data.X, file.path) if data.n_vars else np.empty((0, 0), np.float32)
    places: Any = None
    if PLACES in data.obsm:
        places = np.asarray(data.obsm[PLACES])
    elif {"x", "y"} <= set(data.obs.columns):
        places = data.obs[["x", "y"]].to_numpy()
    known = None if places is None else coordinates(places, len(vectors), file.path)
    return Bag(vectors, known, "px", _attributes(data.uns.get(OURS), file.path))


def _attributes(ours: Any, path: Path) -> dict[str, Any]:
    """What a file of ours says of its patches; nothing for the files of others."""
    if not isinstance(ours, Mapping) or "attributes" not in ours:
        return {}
    try:
        return dict(json.loads(ours["attributes"]))
    except (TypeError, ValueError) as error:
        raise contradicts(path, f"holds uns/{OURS}/attributes that are not JSON ({error})") from error


def write(folder: Path, slide: Exported, dtype: FloatType) -> Path:
    """Write one slide to ``<cohort>/<stem>.h5ad`` below ``folder``.

    ``obs`` holds image, patient, cohort, x and y of each patch (no x and y where they are not known),
    ``uns["hccfeat"]`` the rest of the shard.

    Raises
    ------
    SlideError
        If a number does not fit ``dtype``.
    InputError
        If anndata is not installed.
    """
    import pandas as pd

    vectors = slide.vectors(dtype)
    target = folder / slide.cohort / f"{slide.stem}.h5ad"
    names = [f"{slide.stem}-{row}" for row in range(len(vectors))]
    constant = {"image_id": slide.shard.image_id, "patient_id": slide.patient_id, "cohort": slide.cohort}
    places = {PLACES: slide.coords()} if slide.has_coords else {}
    corners = {axis: coords[:, k] for coords in places.values() for k, axis in enumerate("xy")}
    obs = pd.DataFrame({**constant, **corners}, index=pd.Index(names, dtype=str))
    obs = obs.astype(dict.fromkeys(constant, "category"))
    about = {
        "encoder": slide.encoder,
        "feature_set": slide.shard.feature_set,
        "feature_set_sha256": slide.shard.feature_set_sha256,
        "coordinates": "level-0 pixels, top-left corner",
        "attributes": json.dumps(dict(slide.shard.attributes), sort_keys=True),
    }
    var = pd.DataFrame(index=pd.Index([f"f{k}" for k in range(vectors.shape[1])], dtype=str))
    data = library().AnnData(vectors, obs=obs, var=var, obsm=places, uns={OURS: about})
    write_atomically(target, lambda path: data.write_h5ad(path))
    return target

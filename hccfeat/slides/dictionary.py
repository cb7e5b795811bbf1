"""Two-atom, non-negative sparse dictionary learning, exact in its codes and deterministic.

Minimises ``mean(||x - a D||^2 / 2 + lambda1 (a1 + a2))`` over codes ``a >= 0`` and a dictionary ``D >= 0`` with
rows of length at most 1: the problem Vahadane et al. (IEEE TMI 2016, eq. 3) pose for the stains of a slide.
"""

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

BITS = 7
MAX_ITERATIONS = 5000
TOLERANCE = 1e-7
_DICTIONARY_SWEEPS = 3
_SMALL = 1e-12


def sparse_codes(x: Float, dictionary: Float, lambda1: float) -> Float:
    """Exact non-negative lasso codes for two non-negative atoms.

    With both codes free the solution is linear. Where it makes one negative, that one is 0 and the other is
    the projection on its own atom, which is the smaller of the two: so each is a clamp.

    Parameters
    ----------
    x : float64 (P, 3)
    dictionary : float64 (2, 3)
        Non-negative, not parallel.
    lambda1 : float

    Returns
    -------
    float64 (P, 2)
    """
    gram = dictionary @ dictionary.T
    correlation = x @ dictionary.T - lambda1
    determinant = max(gram[0, 0] * gram[1, 1] - gram[0, 1] ** 2, _SMALL)
    inverse = np.array([[gram[1, 1], -gram[0, 1]], [-gram[0, 1], gram[0, 0]]]) / determinant
    alone = correlation / np.maximum(np.diag(gram), _SMALL)
    return np.asarray(np.maximum(np.minimum(correlation @ inverse, alone), 0.0))


def learn_dictionary(x: Float, weights: Float, start: Float, lambda1: float) -> Float:
    """Alternate exact codes with projected block updates of the atoms until nothing moves.

    Parameters
    ----------
    x : float64 (P, 3)
        Non-negative points.
    weights : float64 (P,)
        How often each point occurs.
    start : float64 (2, 3)
        First dictionary; the optimum found does not depend on it for two stains (tested).
    lambda1 : float

    Returns
    -------
    float64 (2, 3)
        Rows in the order of ``start``; an atom that no point uses stays as it was.
    """
    dictionary = start.copy()
    for _ in range(MAX_ITERATIONS):
        codes = sparse_codes(x, dictionary, lambda1)
        weighted = codes * weights[:, None]
        gram, cross = weighted.T @ codes, weighted.T @ x
        updated = _updated_atoms(dictionary, gram, cross)
        moved = float(np.abs(updated - dictionary).max())
        dictionary = updated
        if moved < TOLERANCE:
            break
    return dictionary


def _updated_atoms(dictionary: Float, gram: Float, cross: Float) -> Float:
    atoms = dictionary.copy()
    for _ in range(_DICTIONARY_SWEEPS):
        for j in range(2):
            if gram[j, j] < _SMALL:
                continue
            atom = np.maximum(atoms[j] + (cross[j] - gram[j] @ atoms) / gram[j, j], 0.0)
            length = float(np.linalg.norm(atom))
            if length > _SMALL:
                atoms[j] = atom / max(length, 1.0)
    return atoms


def binned(x: Float) -> tuple[Float, Float]:
    """Merge nearly equal points: the mean and the count of each occupied cell of a 128 x 128 x 128 grid.

    Two million pixels become some twenty thousand points; the dictionary changes by less than 0.1 degrees.

    Parameters
    ----------
    x : float64 (P, 3)
        Non-negative, P >= 1.

    Returns
    -------
    means : float64 (B, 3)
    counts : float64 (B,)
    """
    cells = 1 << BITS
    scale = (cells - 1) / max(float(x.max()), _SMALL)
    index = (x * scale + 0.5).astype(np.int64)
    key = (index[:, 0] << (2 * BITS)) | (index[:, 1] << BITS) | index[:, 2]
    counts = np.bincount(key, minlength=cells**3)
    occupied = np.flatnonzero(counts)
    place = np.zeros(cells**3, np.int32)
    place[occupied] = np.arange(len(occupied))
    member, count = place[key], counts[occupied].astype(float)
    sums = [np.bincount(member, x[:, channel], minlength=len(occupied)) for channel in range(3)]
    return np.stack(sums, axis=1) / count[:, None], count

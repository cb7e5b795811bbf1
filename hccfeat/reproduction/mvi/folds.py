"""Folds of patients, stratified by grade."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hccfeat.config import GRADES
from hccfeat.errors import AnalysisError


def stratified_folds(
    patients: Sequence[str], grades: NDArray[np.int64], folds: int, seed: int
) -> NDArray[np.int64]:
    """Give every patient the fold that judges it (P2 reading 19).

    Patients of each grade are shuffled and dealt to the folds one after the other, each grade going on where the
    last one ended, so that folds differ by at most one patient in all and in every grade.

    Parameters
    ----------
    patients : sequence of str (n,)
        Different patients; their order does not matter.
    grades : ndarray of int64 (n,)
        Index in ``GRADES``.
    folds : int
        At least 2.
    seed : int
        Of the shuffling.

    Returns
    -------
    ndarray of int64 (n,)
        1 to ``folds``, in the order of ``patients``.

    Raises
    ------
    AnalysisError
        If a patient repeats, or a grade has fewer patients than there are folds: such a fold has no AUC.
    """
    if len(set(patients)) < len(patients):
        raise AnalysisError("folds", "a patient has several exams", "Keep one exam of each patient.")
    counts = np.bincount(grades, minlength=len(GRADES))
    if (counts < folds).any():
        listed = ", ".join(f"{grade} {count}" for grade, count in zip(GRADES, counts, strict=True))
        problem = f"a grade has fewer patients than there are folds, {folds} (patients: {listed})"
        raise AnalysisError("folds", problem, "Use fewer folds in a preset of your own, or more patients.")
    generator = np.random.default_rng(seed)
    order = np.argsort(np.asarray(patients, dtype=np.str_))
    dealt = np.concatenate([generator.permutation(order[grades[order] == grade]) for grade in range(len(GRADES))])
    assigned = np.zeros(len(patients), dtype=np.int64)
    assigned[dealt] = np.arange(len(dealt)) % folds + 1
    return assigned

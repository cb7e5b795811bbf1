"""Who trains and who judges in the subset study: one draw over all candidates, fair to every nested subset."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hccfeat.errors import AnalysisError, ConfigError
from hccfeat.training.labels import SUBSETS, denoised_subset
from hccfeat.training.seeds import derived_seed

TEST = "test"
FINAL = "final"
WHOLE = "whole"


def fold_part(number: int) -> str:
    """Name of a fold, counted from 1."""
    return f"fold{number}"


@dataclass(frozen=True, eq=False)
class Protocol:
    """The candidates of the subset study, and the part each was drawn into.

    Attributes
    ----------
    ids : tuple of str
        Untreated training patients of the frozen split with both outcomes and images, sorted.
    relapsed : bool (n,)
        Recurrence at the last contact.
    os_months : float64 (n,)
        Observed overall survival, months.
    died : bool (n,)
        Whether that time ended in death.
    part : tuple of str (n,)
        ``test``, ``fold1``, ``fold2``, ...
    member_of : dict
        Subset name -> its members, by within-class ranks over all candidates (P1 reading 13).
    """

    ids: tuple[str, ...]
    relapsed: NDArray[np.bool_]
    os_months: NDArray[np.float64]
    died: NDArray[np.bool_]
    part: tuple[str, ...]
    member_of: dict[str, frozenset[str]]

    @property
    def folds(self) -> tuple[str, ...]:
        """Names of the folds, in order."""
        return tuple(fold_part(number + 1) for number in range(len(set(self.part) - {TEST})))

    def patients(self, part: str) -> frozenset[str]:
        """Candidates drawn into ``test`` or a fold."""
        return frozenset(patient for patient, mine in zip(self.ids, self.part, strict=True) if mine == part)

    def training(self, part: str) -> frozenset[str]:
        """Candidates that an encoder of a part may learn from.

        Parameters
        ----------
        part : str
            A fold (the other folds train), ``final`` (all folds train) or ``whole`` (every candidate trains).

        Raises
        ------
        ConfigError
            If there is no such part.
        """
        if part == WHOLE:
            return frozenset(self.ids)
        if part not in {*self.folds, FINAL}:
            raise ConfigError(f"part {part}", "does not exist", f"Use {', '.join([*self.folds, FINAL, WHOLE])}.")
        return frozenset(
            patient for patient, mine in zip(self.ids, self.part, strict=True) if mine not in {TEST, part}
        )


def subset_protocol(
    ids: Sequence[str],
    relapsed: ArrayLike,
    os_months: ArrayLike,
    died: ArrayLike,
    *,
    folds: int,
    test_fraction: float,
    seed: int,
    deaths_only: bool = False,
) -> Protocol:
    """Draw the held-out test part and the folds of the subset study (P1 reading 17).

    One draw serves every subset. Within a class the candidates are lined up by the smallest subset that holds
    them, in random order inside each such ring, and dealt out evenly along that line. So each nested subset has
    about ``test_fraction`` of its patients of a class in the test part (within one patient), and folds that
    differ by one patient at most. The result depends on neither the order of the patients nor anything drawn
    again: where the released code could hang, a class that is too small is an error.

    Parameters
    ----------
    ids : sequence of str (n,)
        Candidates, each once.
    relapsed, os_months, died : arrays (n,)
        Recurrence status, observed overall survival in months, and whether it ended in death.
    folds : int
        At least 2.
    test_fraction : float
        Share held out once, in (0, 1); at least one patient of each class.
    seed : int
        Of the draw.
    deaths_only : bool
        As in :func:`hccfeat.training.labels.denoised_subset`.

    Raises
    ------
    ConfigError
        If ``folds`` or ``test_fraction`` is out of range.
    InputError
        If the arrays disagree, an id repeats or a survival time is missing or negative.
    AnalysisError
        If a class has fewer patients than the parts need.
    """
    if folds < 2:
        raise ConfigError("folds of the subset study", f"are {folds}", "Use at least 2.")
    if not 0 < test_fraction < 1:
        raise ConfigError(
            "test_fraction of the subset study", f"is {test_fraction}", "Use a share between 0 and 1."
        )
    status, months, deaths = np.asarray(relapsed, bool), np.asarray(os_months, np.float64), np.asarray(died, bool)
    member_of = {
        name: frozenset(denoised_subset(ids, status, months, name, deaths=deaths, deaths_only=deaths_only).ids)
        for name in SUBSETS
    }
    order = sorted(range(len(ids)), key=lambda i: ids[i])
    first = derived_seed(seed, "protocol", "first fold") % folds
    part: dict[str, str] = {}
    for value, name in ((True, "relapsed"), (False, "relapse-free")):
        generator = np.random.default_rng(derived_seed(seed, "protocol", name))
        line = _line([ids[i] for i in order if status[i] == value], member_of, generator)
        held_out = max(1, round(test_fraction * len(line)))
        if len(line) - held_out < folds:
            raise AnalysisError(
                "subset study",
                f"has {len(line)} {name} candidates, too few for a test part of {held_out} and {folds} folds",
                "Add patients, or lower the preset's folds or test_fraction.",
            )
        turns = [(first + turn) % folds + 1 for turn in range(folds)]
        # one class backwards, so that the surplus patients of both never meet in one fold while another has none
        part |= _dealt(line, held_out, turns if value else turns[::-1], int(generator.integers(len(line))))
    return Protocol(
        ids=tuple(ids[i] for i in order),
        relapsed=status[order],
        os_months=months[order],
        died=deaths[order],
        part=tuple(part[ids[i]] for i in order),
        member_of=member_of,
    )


def _line(
    patients: Sequence[str], member_of: dict[str, frozenset[str]], generator: np.random.Generator
) -> list[str]:
    """Patients of one class from the smallest subset outwards, shuffled within each ring."""
    shuffled = [patients[int(i)] for i in generator.permutation(len(patients))]
    ring = {patient: sum(patient not in members for members in member_of.values()) for patient in patients}
    return sorted(shuffled, key=lambda patient: ring[patient])


def _dealt(line: Sequence[str], held_out: int, turns: Sequence[int], start: int) -> dict[str, str]:
    """Deal a line evenly: ``held_out`` test places at equal distances, the folds in turn over the others.

    A uniform ``start`` in 0 .. n - 1 gives every patient the same chance of being held out.
    """
    part: dict[str, str] = {}
    dealt = 0
    for place, patient in enumerate(line):
        due = [(start + held_out * after) // len(line) for after in (place, place + 1)]
        if due[1] > due[0]:
            part[patient] = TEST
        else:
            part[patient] = fold_part(turns[dealt % len(turns)])
            dealt += 1
    return part

"""Which comparators a run of ``analyze`` fits, and the patch vectors it gives them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hccfeat.analysis.comparators.bags import SMALL, StoredBags, stored_patches
from hccfeat.analysis.comparators.listing import COMPARATORS, DEFAULT, ComparatorOptions
from hccfeat.analysis.data import EndpointData
from hccfeat.analysis.load import modality_of
from hccfeat.analysis.results import Notice
from hccfeat.errors import InputError
from hccfeat.extraction.identity import FeatureSet

MIL = "mil"
WORDS = ("all", "none")


@dataclass(frozen=True)
class Choice:
    """The comparators of a run, and what a reader must know of the choice."""

    options: ComparatorOptions
    notices: list[Notice] = field(default_factory=list)


def choose_comparators(
    study: Path, asked: Sequence[str] | None, feature_set: FeatureSet | None, cohorts: Sequence[str], *, tune: bool
) -> Choice:
    """Resolve ``--comparators``.

    Parameters
    ----------
    study : Path
        Study folder.
    asked : sequence of str or None
        Names, ``all`` or ``none``. None takes all, but attention MIL only up to 50,000 patches of the cohorts.
    feature_set : FeatureSet or None
        Of the analysis; attention MIL needs one of slides.
    cohorts : sequence of str
        Analysed and judging cohorts.
    tune : bool
        Whether settings are tuned.

    Raises
    ------
    InputError
        If a name is unknown, a word stands beside names, or attention MIL is asked for without slides.
    """
    slides = feature_set is not None and modality_of(feature_set) == "slide"
    if asked is not None:
        return Choice(ComparatorOptions(_named(asked, slides=slides), tune))
    if feature_set is None or not slides:
        return Choice(ComparatorOptions(DEFAULT, tune))
    patches = stored_patches(study, feature_set.name, cohorts)
    if patches <= SMALL:
        return Choice(ComparatorOptions((*DEFAULT, MIL), tune))
    text = f"It would read {patches:,} patch vectors; ask for it with --comparators all."
    return Choice(ComparatorOptions(DEFAULT, tune), [Notice("info", "Attention MIL was not fitted", text)])


def _named(asked: Sequence[str], *, slides: bool) -> tuple[str, ...]:
    if unknown := sorted(set(asked) - {*COMPARATORS, *WORDS}):
        known = ", ".join([*COMPARATORS, *WORDS])
        raise InputError(f"--comparators {unknown[0]}", "is unknown", f"Use {known}.")
    if len(set(asked)) > 1 and (both := sorted(set(asked) & set(WORDS))):
        raise InputError(f"--comparators {both[0]}", "stands beside other names", "Give it alone, or leave it out.")
    if MIL in asked and not slides:
        raise InputError("--comparators mil", "needs patch vectors of slides", "Name a feature set of slides.")
    if "all" in asked:
        return tuple(COMPARATORS) if slides else DEFAULT
    return tuple(name for name in COMPARATORS if name in asked)


def with_bags(data: EndpointData, study: Path, feature_set: FeatureSet | None) -> EndpointData:
    """The same input with the patch vectors behind its images, where they are those of slides."""
    if feature_set is None or data.images is None or data.modality != "slide":
        return data
    return replace(data, bags=StoredBags(study, feature_set.name))

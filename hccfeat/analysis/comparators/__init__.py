"""Models beside the prognostic network, listed in :mod:`hccfeat.analysis.comparators.listing`."""

from hccfeat.analysis.comparators.listing import COMPARATORS, DEFAULT, ComparatorOptions, fit_comparators

__all__ = ["COMPARATORS", "DEFAULT", "ComparatorOptions", "fit_comparators"]

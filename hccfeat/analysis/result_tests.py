"""Coefficients, tests and comparisons of models; :mod:`hccfeat.analysis.results` gives them out with the rows."""

from dataclasses import dataclass

from hccfeat.analysis.result_curves import SplitRole


@dataclass(frozen=True)
class ModelComparison:
    """``first`` minus ``second`` in one metric, on the same patients; ``p_adjusted`` for all gaps declared."""

    endpoint: str
    cohort: str
    split: SplitRole
    first: str
    second: str
    metric: str
    difference: float | None
    lower: float | None
    upper: float | None
    p: float | None
    p_adjusted: float | None
    n: int
    events: int
    method: str


@dataclass(frozen=True)
class SubgroupMetric:
    """One number of one model among the judges of one ``level`` of the clinical variable ``item``.

    ``estimate``, ``lower`` and ``upper`` are None where the number cannot be had; ``method`` then says why.
    """

    cohort: str
    split: SplitRole
    model: str
    item: str
    level: str
    metric: str
    estimate: float | None
    lower: float | None
    upper: float | None
    n: int
    events: int
    method: str


@dataclass(frozen=True)
class ProportionalityTest:
    """Test that one term of a Cox model, or all (``term`` ``GLOBAL``), acts alike at every time.

    ``p`` is small where it does not; None, as ``chisq``, where the test cannot be had. ``transform`` is the
    function of time tested against.
    """

    cohort: str
    split: SplitRole
    model: str
    term: str
    chisq: float | None
    df: int
    p: float | None
    transform: str
    events: int


@dataclass(frozen=True)
class LogisticTerm:
    """One coefficient of a logistic model on raw indicators, unpenalised or with Firth's penalty.

    Limits and ``p`` are None where the search for Firth's did not converge; ``method`` names the fit.
    """

    term: str
    coefficient: float
    standard_error: float
    odds_ratio: float
    lower: float | None
    upper: float | None
    p: float | None
    method: str = "maximum likelihood, Wald interval"


@dataclass(frozen=True)
class ModelTest:
    """A test of all terms of one Cox model at once: likelihood ratio, Wald or score."""

    cohort: str
    split: SplitRole
    model: str
    test: str
    chisq: float
    df: int
    p: float
    n: int
    events: int
    method: str

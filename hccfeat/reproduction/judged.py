"""The judges of every horizon for the items about the PPS risk, and how their numbers are shown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hccfeat.analysis.data import EndpointData
from hccfeat.analysis.prognosis import Place, RatedPatients, rated_patients
from hccfeat.analysis.results import EndpointResult
from hccfeat.errors import AnalysisError, InputError
from hccfeat.report.formatting import MISSING, fixed, interval, significant
from hccfeat.report.tables import Column
from hccfeat.reproduction.blocks import Note
from hccfeat.reproduction.context import HORIZONS, Context
from hccfeat.reproduction.printed import difference, printed
from hccfeat.stats.estimate import Estimate

FOLLOW_UP = "final"
INDICATOR_HORIZONS = ("1y", "2y")
"""Of the comparisons with indicators (P1, Fig 6 and S10)."""
PRINTED_PLACE = {"held_out": "internal", "external": "external"}


@dataclass(frozen=True)
class JudgedHorizon:
    """One horizon judged in one place."""

    endpoint: str
    place: Place
    data: EndpointData
    result: EndpointResult
    judges: RatedPatients

    @property
    def printed_place(self) -> str:
        """Key of the place in the printed values."""
        return PRINTED_PLACE[self.place]

    @property
    def where(self) -> str:
        """The place in words."""
        return f"{self.place.replace('_', '-')} untreated patients of cohort {self.judges.patients.cohort}"

    def identity(self, model: str, metric: str) -> dict[str, Any]:
        """First columns of a data file's row about one number."""
        cohort = self.judges.patients.cohort
        return {"endpoint": self.endpoint, "cohort": cohort, "split": self.place, "model": model, "metric": metric}

    def estimate(self, metric: str, model: str) -> Estimate | None:
        """A metric that ``analyze`` computed for a model here."""
        cohort = self.judges.patients.cohort
        for row in self.result.metrics:
            if (row.metric, row.model, row.split, row.cohort) == (metric, model, self.place, cohort):
                return Estimate(row.estimate, row.lower, row.upper, row.n, row.events, row.method)
        return None


def judged_at(
    context: Context, place: Place, horizons: Sequence[str] = HORIZONS
) -> tuple[list[JudgedHorizon], list[Note]]:
    """Collect the horizons that can be judged in a place, and a note for each that cannot.

    Parameters
    ----------
    context : Context
        The study.
    place : {"held_out", "external"}
        Who judges.
    horizons : sequence of str
        Endpoints.

    Raises
    ------
    AnalysisError
        If none can be judged, or there is no external cohort.
    """
    cohort = context.internal if place == "held_out" else context.external
    if cohort is None:
        raise AnalysisError("external cohort", "there is none with images in this study", "Ingest one, and repeat.")
    found, problems = [], []
    for endpoint in horizons:
        try:
            data, result = context.data(endpoint), context.result(endpoint)
            judges = rated_patients(data, result, context.data(FOLLOW_UP), place, cohort)
        except (AnalysisError, InputError) as error:
            problems.append(Note(f"{endpoint}: {error}", "caution"))
        else:
            found.append(JudgedHorizon(endpoint, place, data, result, judges))
    if not found:
        raise nothing_shown(f"{place.replace('_', '-')} patients of cohort {cohort}", problems)
    return found, problems


def everywhere(context: Context, horizons: Sequence[str]) -> tuple[list[JudgedHorizon], list[Note]]:
    """Collect both places, the held-out patients first.

    Raises
    ------
    AnalysisError
        If neither can be judged.
    """
    found: list[JudgedHorizon] = []
    notes: list[Note] = []
    places: tuple[Place, ...] = ("held_out", "external")
    for place in places:
        try:
            here, problems = judged_at(context, place, horizons)
        except AnalysisError as error:
            notes.append(Note(str(error), "caution"))
        else:
            found += here
            notes += problems
    if not found:
        raise nothing_shown("PPS risk", notes)
    return found, notes


def nothing_shown(what: str, notes: Sequence[Note]) -> AnalysisError:
    """Make the error for an item of which no part can be shown."""
    reasons = " ".join(note.text for note in notes).rstrip(".")
    return AnalysisError(what, f"nothing can be shown ({reasons})", "See the attrition table of `hccfeat analyze`.")


def columns(*texts: tuple[str, str], numbers: Iterable[tuple[str, str]] = ()) -> list[Column]:
    """Columns of text and, aligned to the right, of numbers, as (key, heading)."""
    return [Column(key, label) for key, label in texts] + [Column(key, label, "right") for key, label in numbers]


def remarked(shown: Sequence[Column], rows: Sequence[dict[str, Any]]) -> list[Column]:
    """Columns without the last one, of remarks, where no row has any."""
    return list(shown) if any(row.get(shown[-1].key) for row in rows) else list(shown[:-1])


ESTIMATE = (
    ("value", "Estimate"),
    ("limits", "95 % interval"),
    ("n", "n"),
    ("events", "Events"),
    ("printed", "Printed"),
    ("difference", "Difference"),
)
RATIO = (
    ("hr", "HR"),
    ("limits", "95 % CI"),
    ("p", "P"),
    ("n", "n"),
    ("events", "Events"),
    ("printed", "Printed HR"),
    ("difference", "Difference"),
)


def estimate_cells(found: Estimate, value: float | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Cells of an estimate beside a printed value: as shown, and unrounded for the data file."""
    gap = difference(found.value, value)
    shown = {
        "value": fixed(found.value),
        "limits": interval(found.lower, found.upper),
        "n": f"{found.n:,}",
        "events": f"{found.events:,}",
        "printed": fixed(value),
        "difference": signed(gap),
        "method": found.method,
    }
    data = {
        "estimate": found.value,
        "lower": found.lower,
        "upper": found.upper,
        "n": found.n,
        "events": found.events,
        "printed": value,
        "difference": gap,
        "method": found.method,
    }
    return shown, data


def triple(name: str, value: float | None, lower: float | None, upper: float | None) -> dict[str, float | None]:
    """A number and its limits as three columns of a data file."""
    return {name: value, f"{name}_lower": lower, f"{name}_upper": upper}


def why(**reasons: str) -> str:
    """Join the reasons that are not empty, each after what it is about."""
    return "; ".join(f"{name.replace('_', ' ')}: {reason}" for name, reason in reasons.items() if reason)


def printed_number(*keys: str) -> float | None:
    """A printed value if it is a number; a paper prints some as words."""
    value = printed(*keys)
    return float(value) if isinstance(value, int | float) else None


def printed_text(*keys: str) -> str:
    """A printed value as it is shown, a dash where there is none."""
    value = printed(*keys)
    return MISSING if value is None else str(value)


def signed(value: float | None, decimals: int = 3) -> str:
    """A difference with its sign."""
    return MISSING if value is None else f"{value:+.{decimals}f}"


def ratio_limits(lower: float | None, upper: float | None) -> str:
    """Limits of a hazard ratio with three significant digits, empty where there are none."""
    return "" if lower is None or upper is None else f"{significant(lower, 3)}–{significant(upper, 3)}"

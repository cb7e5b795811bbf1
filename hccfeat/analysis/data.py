"""The input of an analysis, and the patients of one cohort and split as aligned arrays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hccfeat.analysis.results import SplitRole
from hccfeat.errors import AnalysisError

Role = Literal["train", "held_out", "external", "all"]
ROLES = ("train", "held_out", "external", "all")
PATIENT_COLUMNS = ("patient_id", "cohort", "role", "treated", "time", "event", "y", "excluded")
Modality = Literal["slide", "mri"]
COLOURS = ("mean_red", "mean_green", "mean_blue")
PatchBags = Callable[[Sequence[str]], list[NDArray[np.float32]]]
"""Patients to the patch vectors of each (m, d), m at least 1."""


@dataclass(frozen=True)
class EndpointData:
    """Plain frames from which one endpoint is analysed; nothing here queries a store.

    Parameters
    ----------
    endpoint, label, exclusion_rule, outcome : str
        Name (``1y``), readable name, the rule that leaves patients without a label, and the outcome it is of.
    horizon_months : float or None
        Horizon; events after it are not events of this endpoint. None: status at last follow-up.
    patients : DataFrame
        One row per patient: ``patient_id``, ``cohort``, ``role`` (``train`` and ``held_out`` for the
        development cohort, ``external``, or ``all`` for a cohort that is only described), ``treated`` (bool),
        ``time`` (months), ``event`` (bool), ``y`` (0, 1 or null), ``excluded`` (why ``y`` is null, or null).
        A patient with a time and an event counts in survival analyses even where ``y`` is null; set time and
        event to null to leave the patient out of everything. Optional: ``months`` and ``recurred``, the same
        where time and event are already cut at the horizon, and ``died``, whether death ended ``months``.
    indicators : DataFrame
        ``patient_id`` and numeric or boolean clinical indicators; nulls allowed.
    indicator_names : list of str
        The columns of ``indicators`` that models use, in order.
    images : DataFrame or None
        One row per image: ``patient_id``, ``image_id``, ``vector`` (Array or List of Float32, the image-level
        PPS) and optionally ``mean_red``, ``mean_green``, ``mean_blue`` of the raw patches. None: no images.
    seen : set of str
        Patients whose images or outcomes trained, stopped or selected the encoder of ``images``.
    modality : {"slide", "mri"}
        What ``images`` are: slides with their PPS, or MRI exams with their embedding.
    timed : bool
        False for an endpoint that is a finding without a time: nothing of it can be analysed as survival.
    bags : callable, optional
        Patch vectors behind ``images``, by the same encoder, read when a model asks for them.
    sites : dict
        Site by patient id, where folds are by site and the clinical table names it.
    outside_split : int
        Patients of the development cohort who are not here, because the frozen split does not hold them.
    unrecorded : dict
        Indicators asked for that too few learners have for any model, and how many have each.
    groups : DataFrame or None
        ``patient_id`` and a column of level names (String) per variable within whose levels models are judged.
    """

    endpoint: str
    label: str
    horizon_months: float | None
    exclusion_rule: str
    patients: pl.DataFrame
    indicators: pl.DataFrame
    indicator_names: list[str]
    images: pl.DataFrame | None = None
    seen: set[str] = field(default_factory=set)
    modality: Modality = "slide"
    timed: bool = True
    bags: PatchBags | None = None
    sites: dict[str, str] = field(default_factory=dict)
    groups: pl.DataFrame | None = None
    outside_split: int = 0
    unrecorded: dict[str, int] = field(default_factory=dict)
    outcome: str = ""

    def __post_init__(self) -> None:
        _check_patients(self.patients)
        _check_indicators(self.indicators, self.indicator_names)
        if self.images is not None:
            _require(self.images, ("patient_id", "image_id", "vector"), "images")
            _unique(self.images, "image_id", "images")

    def cohorts(self, role: Role) -> list[str]:
        """Names of the cohorts with patients in a role, sorted."""
        return sorted(self.patients.filter(pl.col("role") == role)["cohort"].unique())


@dataclass(frozen=True)
class Population:
    """Patients of one cohort and split, sorted by id; arrays are aligned, NaN where not known.

    ``image_vectors`` (images, d) and ``image_patient`` (images,), the row of each image's patient, are None
    together when images are not used.
    """

    cohort: str
    split: SplitRole
    ids: list[str]
    time: NDArray[np.float64]
    event: NDArray[np.float64]
    y: NDArray[np.float64]
    indicators: NDArray[np.float64]
    indicator_names: list[str]
    image_vectors: NDArray[np.float32] | None = None
    image_patient: NDArray[np.int64] | None = None
    colour: NDArray[np.float64] | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    """Patients of this cohort and split that are not here, by reason."""
    modality: Modality = "slide"
    months: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """Follow-up (n,) that is not cut at the horizon; ``time`` where nothing else is given."""
    recurred: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """Whether the event ended ``months`` (n,)."""
    died: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """Whether death without the event ended ``months`` (n,); all NaN where deaths are not known."""

    def __post_init__(self) -> None:
        defaults = {"months": self.time, "recurred": self.event, "died": np.full(len(self), np.nan)}
        for name, values in defaults.items():
            if len(getattr(self, name)) != len(self):
                object.__setattr__(self, name, values)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Who has a label (n,)."""
        return ~np.isnan(self.y)

    @property
    def followed(self) -> NDArray[np.bool_]:
        """Who has a survival time and status (n,)."""
        return ~(np.isnan(self.time) | np.isnan(self.event))

    def take(self, keep: NDArray[np.bool_]) -> "Population":
        """The patients where ``keep`` is true."""
        rows = np.flatnonzero(keep)
        vectors, owners = self.image_vectors, self.image_patient
        if vectors is not None and owners is not None:
            kept = keep[owners]
            vectors, owners = vectors[kept], np.searchsorted(rows, owners[kept])
        return Population(
            self.cohort,
            self.split,
            [self.ids[row] for row in rows],
            self.time[rows],
            self.event[rows],
            self.y[rows],
            self.indicators[rows],
            self.indicator_names,
            vectors,
            owners,
            None if self.colour is None else self.colour[rows],
            modality=self.modality,
            months=self.months[rows],
            recurred=self.recurred[rows],
            died=self.died[rows],
        )

    def patient_mean(self, per_image: NDArray) -> NDArray[np.float64]:
        """Mean over the images of each patient: (images, ...) to (n, ...)."""
        owners = self.image_patient
        if owners is None:
            raise AnalysisError(self.cohort, "has no images in this analysis", "Extract the images first.")
        total = np.zeros((len(self), *per_image.shape[1:]))
        np.add.at(total, owners, per_image.astype(np.float64))
        counts = np.bincount(owners, minlength=len(self)).reshape(-1, *[1] * (per_image.ndim - 1))
        return total / counts


def population(data: EndpointData, cohort: str, role: Role, split: SplitRole) -> Population:
    """Collect the patients of a cohort and role: untreated, and with an image where the analysis has images.

    Treated patients are left out (their analysis is another question). A cohort in role ``all`` is described
    by the clinical table of all its patients.

    Raises
    ------
    AnalysisError
        If a vector is missing, not finite, or vectors differ in length.
    """
    rows = data.patients.filter((pl.col("cohort") == cohort) & (pl.col("role") == role))
    untreated = rows if role == "all" else rows.filter(~pl.col("treated").fill_null(False))
    left_out = {"treated": rows.height - untreated.height}
    images = None if role == "all" else data.images
    if images is not None:
        kept = untreated.join(images.select("patient_id").unique(), on="patient_id", how="semi")
        left_out["no embedded image"] = untreated.height - kept.height
        untreated = kept
    untreated = untreated.sort("patient_id")
    ids = untreated["patient_id"].to_list()
    joined = untreated.select("patient_id").join(
        data.indicators, on="patient_id", how="left", maintain_order="left"
    )
    base = Population(
        cohort,
        split,
        ids,
        _truncated_time(untreated, data.horizon_months),
        _truncated_event(untreated, data.horizon_months),
        _floats(untreated["y"]),
        joined.select(data.indicator_names)
        .cast(pl.Float64)
        .fill_null(float("nan"))
        .to_numpy()
        .reshape(len(ids), len(data.indicator_names)),
        list(data.indicator_names),
        left_out={reason: count for reason, count in left_out.items() if count},
        modality=data.modality,
        months=_floats(untreated["months" if "months" in untreated.columns else "time"]),
        recurred=_floats(untreated["recurred" if "recurred" in untreated.columns else "event"]),
        died=_floats(untreated["died"]) if "died" in untreated.columns else np.zeros(0),
    )
    return base if images is None else _with_images(base, images)


def _with_images(base: Population, images: pl.DataFrame) -> Population:
    row_of = {patient: row for row, patient in enumerate(base.ids)}
    mine = images.filter(pl.col("patient_id").is_in(base.ids)).sort("image_id")
    owners = np.array([row_of[patient] for patient in mine["patient_id"]], dtype=np.int64)
    populated = replace(base, image_vectors=_vectors(mine["vector"]), image_patient=owners)
    if not set(COLOURS) <= set(images.columns) or not len(base):
        return populated
    colours = mine.select(COLOURS).cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return replace(populated, colour=populated.patient_mean(colours))


def _vectors(column: pl.Series) -> NDArray[np.float32]:
    if column.null_count():
        raise AnalysisError("image vectors", "are missing for some images", "Run `hccfeat extract` again.")
    lengths = {len(vector) for vector in column}
    if len(lengths) > 1:
        raise AnalysisError("image vectors", f"differ in length {sorted(lengths)}", "Use one feature set.")
    if not len(column):
        return np.zeros((0, 0), dtype=np.float32)
    vectors = np.stack([np.asarray(vector, dtype=np.float32) for vector in column])
    if not np.isfinite(vectors).all():
        remedy = "Run `hccfeat verify --repair`, then `hccfeat extract`."
        raise AnalysisError("image vectors", "hold NaN or infinity", remedy)
    return vectors


def _floats(column: pl.Series) -> NDArray[np.float64]:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy().copy()


def _truncated_time(rows: pl.DataFrame, horizon: float | None) -> NDArray[np.float64]:
    time = _floats(rows["time"])
    return time if horizon is None else np.minimum(time, horizon)


def _truncated_event(rows: pl.DataFrame, horizon: float | None) -> NDArray[np.float64]:
    """Recurrence by the horizon (P1 reading 30); an input that is already truncated is left as it is."""
    event, time = _floats(rows["event"]), _floats(rows["time"])
    if horizon is not None:
        event[time > horizon] = 0.0
    return event


def _require(frame: pl.DataFrame, columns: tuple[str, ...], name: str) -> None:
    if missing := [column for column in columns if column not in frame.columns]:
        raise AnalysisError(name, f"lacks the columns {', '.join(missing)}", "Give one column for each.")


def _unique(frame: pl.DataFrame, column: str, name: str) -> None:
    if frame[column].null_count() or frame[column].n_unique() != frame.height:
        raise AnalysisError(name, f"has missing or repeated values of {column}", "Give one row for each.")


def _check_patients(patients: pl.DataFrame) -> None:
    _require(patients, PATIENT_COLUMNS, "patients")
    _unique(patients, "patient_id", "patients")
    if unknown := sorted(set(patients["role"].drop_nulls()) - set(ROLES)):
        raise AnalysisError("patients", f"have unknown roles {unknown}", f"Use {', '.join(ROLES)}.")
    time = patients["time"].cast(pl.Float64).drop_nulls()
    if not time.is_finite().all() or (time < 0).any():
        raise AnalysisError("patients", "have negative or infinite times", "Correct the outcome table.")
    if not patients["y"].cast(pl.Float64).drop_nulls().is_in([0.0, 1.0]).all():
        raise AnalysisError("patients", "have labels other than 0, 1 and null", "Correct the endpoint.")


def _check_indicators(indicators: pl.DataFrame, names: list[str]) -> None:
    _require(indicators, ("patient_id", *names), "indicators")
    _unique(indicators, "patient_id", "indicators")
    for name in names:
        dtype = indicators.schema[name]
        if not (dtype.is_numeric() or dtype == pl.Boolean or dtype == pl.Null):
            raise AnalysisError(f"indicator {name}", f"is {dtype}, not a number", "Declare a number or a flag.")
        values = indicators[name].cast(pl.Float64).drop_nulls()
        if not values.is_finite().all():
            raise AnalysisError(f"indicator {name}", "holds NaN or infinity", "Write null where it is missing.")

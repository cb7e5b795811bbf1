"""Items 5 and 44: what the denoised recurrence labels keep, and how the subsets are divided."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from hccfeat.analysis.subset_counts import PartCount, SubsetCount, part_counts, subset_counts
from hccfeat.report.formatting import fixed
from hccfeat.report.tables import Column
from hccfeat.reproduction.blocks import Block, Figure, Note, Table
from hccfeat.reproduction.context import Context
from hccfeat.reproduction.subset_figures import Line, Panel, subset_figure
from hccfeat.store.catalog import query
from hccfeat.training.labels import SUBSETS, ClassSelection
from hccfeat.training.protocol import TEST

READING = {False: "observed survival, dead or not", True: "observed deaths first"}


def denoised_labels(context: Context) -> list[Block]:
    """Item 5, Fig 1: patients kept in each class, survival thresholds, and the censored among the relapsed."""
    protocol = context.cells.protocol
    deaths_only = context.recipe.training.deaths_only
    found = subset_counts(protocol, deaths_only=deaths_only)
    sick = int(protocol.relapsed.sum())
    text = (
        f"{len(protocol.ids)} untreated training patients with both outcomes and images: "
        f"{len(protocol.ids) - sick} relapse-free, {sick} relapsed (paper: 230 in all). A subset t keeps the share "
        "t of each class: the relapse-free who lived longest and the relapsed who died soonest. This study ranks "
        f"the relapsed by {READING[deaths_only]}; the last columns show the other reading "
        f"({READING[not deaths_only]}). A relapsed patient who is censored is not known to have died soon."
    )
    return [Note(text), _kept(found), _thresholds(found)]


def subset_statistics(context: Context) -> list[Block]:
    """Item 44, Table S1: patients, images and patches of every subset, its held-out part and its folds."""
    protocol = context.cells.protocol
    frame = query(context.study, _IMAGES, [context.feature_set.name])
    images = {row["patient_id"]: (row["images"], row["patches"]) for row in frame.to_dicts()}
    counts = part_counts(protocol, images)
    text = (
        "Images and patches are those that feature set "
        f"{context.feature_set.name} holds. One draw serves all subsets: {len(protocol.folds)} folds, and a part "
        f"held out once ({100 * context.preset.test_fraction:.0f} % of each class). The paper's Table S1 is not "
        "printed in its main text, so there is nothing to compare with."
    )
    return [Note(text), _sizes(counts), _parts(counts)]


def _kept(found: Sequence[SubsetCount]) -> Table:
    rows, data = [], []
    for one in found:
        used, other = one.used, one.other
        rows.append(
            {
                "subset": one.subset,
                "free": _of(used.relapse_free),
                "free_months": fixed(used.relapse_free.threshold_months, 1),
                "sick": _of(used.relapsed),
                "sick_months": fixed(used.relapsed.threshold_months, 1),
                "censored": str(used.relapsed.censored),
                "both": f"{one.both} of {used.relapsed.kept}",
                "other_months": fixed(other.relapsed.threshold_months, 1),
                "other_censored": str(other.relapsed.censored),
            }
        )
        data.append(
            {
                "subset": one.subset,
                "deaths_only": used.deaths_only,
                "relapse_free_available": used.relapse_free.available,
                "relapse_free_kept": used.relapse_free.kept,
                "relapse_free_least_months": used.relapse_free.threshold_months,
                "relapsed_available": used.relapsed.available,
                "relapsed_kept": used.relapsed.kept,
                "relapsed_most_months": used.relapsed.threshold_months,
                "relapsed_censored": used.relapsed.censored,
                "kept_by_both_readings": one.both,
                "other_reading_most_months": other.relapsed.threshold_months,
                "other_reading_censored": other.relapsed.censored,
            }
        )
    shown = [
        Column("subset", "Subset"),
        Column("free", "Relapse-free", "right", "kept, of those there are"),
        Column(
            "free_months", "OS at least", "right", "months; the relapse-free patient with the shortest survival"
        ),
        Column("sick", "Relapsed", "right", "kept, of those there are"),
        Column("sick_months", "OS at most", "right", "months; the relapsed patient with the longest survival"),
        Column("censored", "Censored", "right", "relapsed patients kept whose short survival is a short follow-up"),
        Column("both", "In both readings", "right", "relapsed patients kept by both readings"),
        Column("other_months", "Other: OS at most", "right", "months, other reading"),
        Column("other_censored", "Other: censored", "right", "other reading"),
    ]
    return Table(shown, rows, "Denoised recurrence labels: patients kept; OS in months", data=data)


def _thresholds(found: Sequence[SubsetCount]) -> Figure:
    lines = [
        _line("relapse-free: kept from", [one.used.relapse_free for one in found]),
        _line("relapsed: kept up to", [one.used.relapsed for one in found]),
    ]

    def draw(key: str, simulated: bool) -> Markup:
        return subset_figure(
            key,
            [Panel("Overall survival of the last patient kept", lines)],
            SUBSETS,
            title="Survival thresholds of the subsets",
            ylabel="Months",
            simulated=simulated,
        )

    data = [
        {"subset": one.subset, "relapse_free_from": one.used.relapse_free.threshold_months}
        | {"relapsed_up_to": one.used.relapsed.threshold_months}
        for one in found
    ]
    return Figure(draw, "Overall survival at which each subset cuts the two classes; counts, no estimates", data)


def _line(label: str, kept: Sequence[ClassSelection]) -> Line:
    nothing = [None] * len(kept)
    return Line(label, [one.threshold_months for one in kept], nothing, nothing)


def _sizes(counts: Sequence[PartCount]) -> Table:
    rows, data = [], []
    for subset in SUBSETS:
        by_part = {one.part: one for one in counts if one.subset == subset}
        whole, test = by_part["all"], by_part[TEST]
        folds = [one.patients for name, one in by_part.items() if name not in ("all", TEST)]
        numbers: dict[str, Any] = {
            "subset": subset,
            "patients": whole.patients,
            "relapse_free": whole.relapse_free,
            "relapsed": whole.relapsed,
            "images": whole.images,
            "patches": whole.patches,
            "held_out_patients": test.patients,
            "held_out_relapsed": test.relapsed,
            "smallest_fold": min(folds),
            "largest_fold": max(folds),
        }
        data.append(numbers)
        rows.append({key: value if key == "subset" else f"{value:,}" for key, value in numbers.items()})
    shown = [
        Column("subset", "Subset"),
        Column("patients", "Patients", "right"),
        Column("relapse_free", "Relapse-free", "right"),
        Column("relapsed", "Relapsed", "right"),
        Column("images", "Images", "right"),
        Column("patches", "Patches", "right"),
        Column("held_out_patients", "Held out", "right", "patients who judge the encoder of all folds"),
        Column("held_out_relapsed", "of them relapsed", "right"),
        Column("smallest_fold", "Smallest fold", "right", "patients"),
        Column("largest_fold", "Largest fold", "right", "patients"),
    ]
    return Table(shown, rows, "Size of every subset", data=data)


def _parts(counts: Sequence[PartCount]) -> Table:
    fields = ("relapse_free", "relapsed", "images", "patches")
    parts = [one for one in counts if one.part != "all"]
    data = [{name: getattr(one, name) for name in ("subset", "part", *fields)} for one in parts]
    rows = [
        {
            "subset": f"Subset {one.subset}",
            "part": "held-out part" if one.part == TEST else one.part.replace("fold", "fold "),
        }
        | {name: f"{getattr(one, name):,}" for name in fields}
        for one in parts
    ]
    shown = [Column("part", "Part")] + [
        Column(name, name.replace("_", "-").capitalize(), "right") for name in fields
    ]
    return Table(shown, rows, "Members of every subset by part", group="subset", data=data)


def _of(kept: ClassSelection) -> str:
    return f"{kept.kept} of {kept.available}"


_IMAGES = """
SELECT i.patient_id, count(*) AS images, sum(s.patches)::BIGINT AS patches
FROM shard AS s JOIN image AS i ON i.image_id = s.image_id
WHERE s.feature_set = ? AND s.patches > 0 GROUP BY i.patient_id ORDER BY i.patient_id
"""

"""The page of the distillation study: the tabular stand-in, from the kept replicates."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from hccfeat.evidence.distillation_tabular import (
    SENSITIVE,
    TEACHERS,
    bootstrap_interval,
    ceilings,
    difference,
    level,
)
from hccfeat.evidence.distillation_training import ARMS, LATER
from hccfeat.evidence.figures import svg_file
from hccfeat.evidence.page import EvidenceFigure, EvidenceTable, Section
from hccfeat.evidence.paired import Paired
from hccfeat.evidence.record import Part
from hccfeat.evidence.settings import DistillationStandIn
from hccfeat.evidence.writing import cell, signed, verdict
from hccfeat.evidence.writing import difference as written
from hccfeat.report.canvas import FAINT, PALETTE, drawing, new_figure, watermark
from hccfeat.report.formatting import MISSING, fixed

CLAIM = ("real", "permuted")
COMPARED = (
    CLAIM,
    ("real", "none"),
    ("real", "image"),
    ("permuted", "none"),
    ("image", "none"),
    ("none", "hbp"),
    ("none", "pre"),
)
"""First minus second; the last two ask whether two phases do better than one."""
EXPLORED = (("staged", "staged_permuted"), ("staged", "none"), ("exact", "none"))
TITLES = {name: arm.title for name, arm in {**ARMS, **LATER}.items()} | {"none": "no teacher (both phases)"}
MEASURE = "macro one-versus-one AUC"
KNOWLEDGE = {
    "auc_image": "what both phases show, before noise of voxels",
    "auc_image_hbp": "what HBP shows",
    "auc_image_pre": "what PRE shows",
    "auc_items": "the items",
    "auc_image_and_items": "both phases and the items",
    "auc_latents": "S, I and K themselves",
}

QUESTIONS = (
    "CMD-Net's teacher is given clinical items beside the volumes; its student is given the volumes alone and "
    "learns from the grades of microvascular invasion (M0, M1, M2), from the teacher's probabilities and from the "
    "teacher's Z of each phase. Does the student know more for it? **The claim is *real teacher minus teacher "
    "with permuted items***: the second is the same network with the same losses, batches and initial weights, "
    "and is given the items of another training patient. What a second network does by itself, without knowing "
    "anything more, is in both and cancels. *No teacher* and *image-only teacher* say what that is. All students "
    "are judged on the same patients, whom no arm has seen, by {measure}. The teacher's own score, with the "
    "items, is what the student is taught from.",
    "The grade follows S (strong in the items, weak in the image), I (image only), K (items only) and chance. *K "
    "only*: the weights of S and I are given to K, so that images tell nothing, every student's true AUC is 0.5 "
    "and no teacher can help. *K in place of S*: images tell of I as before, but what the teacher knows beyond "
    "them has no trace in them. The variance of the score is the same in all three.",
    "Expected, not required, when the parameters were fixed: real minus permuted above 0 as simulated and none "
    "for *K only*; two phases above either one as simulated and none for *K only*.",
)
TABULAR = (
    "{cohorts} cohorts for each truth, the same seeds in all of them. {training_patients} patients train, "
    "{held_out_patients:,} others are judged. In place of a volume: {features} features per phase, of which two "
    "are the signals of I and S that `simulation_mri.toml` lets that phase show, with their own noise, and the "
    "rest is noise. Items are the simulator's 52 with 10 % missing, imputed and scaled by the training patients. "
    "In place of CMD-Net: per phase a network of two layers (width {hidden}) that gives Z (length {stream}), the "
    "teacher's with the items beside the features, and a head of one layer, the teacher's of two; no cross "
    "attention. Losses, their weights and the joint training are those of `hccfeat.training`: focal loss (gamma "
    "{gamma:g}) for both, class-level KL and feature-level KL for the student, Adam ({learning_rate:g}), {epochs} "
    "epochs, batches of {batch_size}. Intervals: 95 %, Student's t over cohorts, in bold where 0 lies outside; "
    "beside it that of {bootstraps:,} bootstraps of the cohorts. *Detectable* is the smallest true difference "
    "that this many cohorts find with 80 % power.",
    "Learning rate and epochs were chosen on other seeds by the arm without a teacher, so that it is as good as "
    "this stand-in can be without help.",
)
SENSITIVITY = (
    "One setting of the stand-in changed at a time, grades as simulated, {cohorts} cohorts each; the list was "
    "fixed with the other parameters."
)
LATER_TEXT = (
    "**Exploratory: added after the results above had been seen**, {cohorts} cohorts for each truth, to tell "
    "whether a better teacher would teach more. A teacher that is *trained first* has learned for all its epochs "
    "before the student starts. *The true probabilities* of the grades given S, I and K, which nobody could know "
    "better, take the teacher's place in the class-level KL: what any teacher could give through that loss."
)
LIMITS = (
    "Everything here is simulated, with latents, effect sizes and networks of our choosing: it says whether the "
    "losses carry knowledge of the items into a student where we know that the items have it, and says nothing "
    "about patients, about the paper's cohort, or about what a student would gain where items and images share "
    "more or less than here. A difference without an interval that excludes 0 is not shown to be 0; what would "
    "have been found is beside it. An interval that excludes 0 says that a difference is there, not that it "
    "matters: its size is in points of AUC, to be held against the teacher's own lead. Intervals are not corrected "
    "for their number; the claim is one of them, and was named before.",
)


def tabular_part(part: Part, study: DistillationStandIn) -> tuple[Section, list[str]]:
    """The section of the stand-in and its summary."""
    names = [truth.name for truth in study.truths]
    sizes = study.model_dump() | study.training.model_dump()
    cohorts = difference(part, *CLAIM, truth=names[0]).n
    text = [TABULAR[0].format(**sizes, cohorts=cohorts), TABULAR[1]]
    tables = [_differences(part, study, COMPARED), _levels(part, names), _ceilings(study)]
    panels = {name: {_minus(*pair): difference(part, *pair, truth=name) for pair in COMPARED} for name in names}
    drawn = forest("distillation", panels, f"difference in {MEASURE}")
    caption = "SIMULATED. Differences between arms of the stand-in with 95 % intervals, by what the grade follows."
    section = Section("Tabular stand-in of CMD-Net", text, tables, [EvidenceFigure("tabular", drawn, caption)])
    return section, _summary(part, names, cohorts)


def _summary(part: Part, names: Sequence[str], cohorts: int) -> list[str]:
    lines = [f"Stand-in of CMD-Net, {cohorts} cohorts, {MEASURE}:"]
    for pair in (CLAIM, ("real", "none"), ("none", "hbp"), ("none", "pre")):
        found = {name: difference(part, *pair, truth=name) for name in names}
        told = "; ".join(f"{name} {written(one)}, {verdict(one)}" for name, one in found.items())
        lines.append(f"{_minus(*pair)}: {told}.")
    for name in names:
        own, taught, alone = (level(part, arm, truth=name).mean for arm in ("teacher:real", "real", "none"))
        lines.append(
            f"The teacher's own AUC with the items, {name}: {own:.3f}; its student {taught:.3f}, the student "
            f"without a teacher {alone:.3f}."
        )
    claimed, lead = (difference(part, *pair, truth=names[0]).mean for pair in (CLAIM, ("teacher:real", "none")))
    if lead > 0:
        lines.append(
            f"The claim as a share of the teacher's lead over a student without one, {names[0]}: "
            f"{100 * claimed / lead:.0f} % of {lead:.3f}."
        )
    return lines


def _minus(first: str, second: str) -> str:
    return f"{TITLES[first]} minus {TITLES[second]}"


def _differences(part: Part, study: DistillationStandIn, pairs: Sequence[tuple[str, str]]) -> EvidenceTable:
    rows = []
    for truth in study.truths:
        for pair in pairs:
            found = difference(part, *pair, truth=truth.name)
            interval = bootstrap_interval(part, *pair, study.bootstraps, truth=truth.name)
            rows.append([truth.name, _minus(*pair), cell(found), between(interval), *spread(found)])
    columns = ["grade follows", "arms", "difference", "bootstrap of cohorts", "SD between cohorts", "detectable"]
    return EvidenceTable(columns, rows, f"Paired differences, {MEASURE}:")


def between(limits: tuple[float | None, float | None], decimals: int = 4) -> str:
    """An interval, or a dash."""
    lower, upper = limits
    return MISSING if lower is None or upper is None else f"{signed(lower, decimals)} to {signed(upper, decimals)}"


def spread(found: Paired, decimals: int = 4) -> list[str]:
    """SD between replicates, and what could have been detected."""
    return [fixed(found.sd, decimals), fixed(found.detectable, decimals)]


def _levels(part: Part, names: Sequence[str]) -> EvidenceTable:
    shown = TITLES | TEACHERS
    columns = [name for name in (*ARMS, *TEACHERS) if name in part.columns]
    rows = [
        [shown[column], *(f"{found.mean:.3f} ({fixed(found.sd)})" for found in
         (level(part, column, truth=name) for name in names))]
        for column in columns
    ]  # fmt: skip
    return EvidenceTable(["arm", *names], rows, "Mean AUC of each student and teacher (SD between cohorts):")


def _ceilings(study: DistillationStandIn) -> EvidenceTable:
    found = {truth.name: ceilings(truth) for truth in study.truths}
    rows = [[title, *(fixed(one[name]) for one in found.values())] for name, title in KNOWLEDGE.items()]
    caption = "The best possible AUC of whoever knows how the simulation works (6,000 patients), given:"
    return EvidenceTable(["known", *found], rows, caption)


def sensitivity_part(part: Part, study: DistillationStandIn) -> Section:
    """The section of the stand-ins with one setting changed."""
    rows = []
    for change in study.sensitivity:
        scores = [f"{level(part, arm, changed=change.name).mean:.3f}" for arm in SENSITIVE]
        gains = [cell(difference(part, *pair, changed=change.name)) for pair in (CLAIM, ("real", "none"))]
        rows.append([change.name, *gains, *scores])
    cohorts = difference(part, *CLAIM, changed=study.sensitivity[0].name).n
    titles = [(TITLES | TEACHERS)[arm] for arm in SENSITIVE]
    columns = ["changed", _minus(*CLAIM), _minus("real", "none"), *titles]
    return Section(
        "Does the answer hang on the stand-in?",
        [SENSITIVITY.format(cohorts=cohorts)],
        [EvidenceTable(columns, rows)],
    )


def exploratory_part(part: Part, study: DistillationStandIn) -> Section:
    """The section of the arms that were added later; ``part`` also has the column of the arm without a teacher."""
    cohorts = difference(part, *EXPLORED[0], truth=study.truths[0].name).n
    table = _differences(part, study, EXPLORED)
    return Section("Would a better teacher teach more?", [LATER_TEXT.format(cohorts=cohorts)], [table])


def forest(key: str, panels: Mapping[str, Mapping[str, Paired]], label: str) -> str:
    """Draw named differences with their intervals, one panel per setting on one scale, as SVG."""
    names = list(next(iter(panels.values())))
    with drawing():
        figure = new_figure(3.6 + 2.6 * len(panels), 1.5 + 0.42 * len(names))
        axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
        for number, (place, (title, found)) in enumerate(zip(axes, panels.items(), strict=True)):
            _panel(place, title, list(found.values()), PALETTE[number % len(PALETTE)])
        axes[0].set_yticks(range(len(names)), [name.replace(" minus ", "\nminus ") for name in names])
        axes[0].invert_yaxis()
        figure.supxlabel(label, fontsize=10)
        figure.subplots_adjust(left=2.9 / (3.6 + 2.6 * len(panels)), right=0.985, top=0.9, bottom=0.16, wspace=0.08)
        for place in axes:
            watermark(figure, place)
        return svg_file(figure, key)


def _panel(axes: Axes, title: str, found: Sequence[Paired], colour: str) -> None:
    axes.set_title(title)
    axes.axvline(0, color=FAINT, linewidth=1)
    lower = [0.0 if one.lower is None else one.mean - one.lower for one in found]
    upper = [0.0 if one.upper is None else one.upper - one.mean for one in found]
    axes.errorbar(
        [one.mean for one in found], range(len(found)), xerr=[lower, upper], color=colour, marker="o", markersize=5,
        linewidth=0, elinewidth=1.6, capsize=2.5,
    )  # fmt: skip

"""The page of the denoising study: sections and summary lines from the kept replicates."""

from collections.abc import Callable, Sequence

import numpy as np

from hccfeat.evidence.denoising_images import complete, gains
from hccfeat.evidence.denoising_tabular import COMPARED, LABELLED, REFERENCES, gain, level, trend
from hccfeat.evidence.figures import difference_panels
from hccfeat.evidence.page import EvidenceFigure, EvidenceTable, Section
from hccfeat.evidence.patients import ARMS, EXPLORATORY
from hccfeat.evidence.record import Part
from hccfeat.evidence.settings import Denoising
from hccfeat.evidence.stand_in import MEASURES
from hccfeat.evidence.writing import cell, difference, signed, verdict

DEFAULT = {"pi": 0.4, "gamma": 1.0}
"""The generator's own setting, for the headline."""

QUESTIONS = (
    "The method keeps, within each class, the half of the patients whose recurrence status overall survival "
    "confirms (relapse-free and alive longest, relapsed and dead soonest) and trains the encoder on their "
    "labels. Judged are untreated patients that no arm has seen, on the observed label (recurrence within a "
    "year) and on the truth, the latent aggressiveness A > 0. Every difference is *denoised minus the other "
    "arm* on the same patients and seeds.",
    "Expected, not required, when the parameters were fixed: a gain on A > 0 that rises with pi, the share of "
    "recurrence times that disease does not decide, and vanishes at gamma = 0, where the hazard of death tells "
    "nothing about A.",
    "What gamma = 0 controls for: it takes A out of the hazard of death, not out of the observed survival time, "
    "which also ends with follow-up. Relapse-free at the end of a long follow-up still says more than "
    "relapse-free at the end of a short one, and so does a relapse before an early end. Nor does pi = 0 leave "
    "labels clean: whoever dies before recurring counts as relapse-free, and at gamma = 1 these are the "
    "aggressive ones. The share of training labels that equal A > 0 shows how far selection by observed "
    "survival cleans labels in each setting.",
)
TABULAR = (
    "{cohorts} cohorts for each of {settings} settings, the same seeds in all of them. {training_patients} "
    "untreated patients train, {held_out_patients:,} others are judged. In place of images: {features} features "
    "of which four follow the image signal (A + patient noise + image noise, {images_per_patient} images) as "
    "nuclear radius, pleomorphism, density and lymphocytes do in `simulation.toml`; the rest is noise. In place "
    "of the encoder: logistic regression with a ridge penalty (C = {c}), the same in every arm; the Cox arm has "
    "the same penalty. Intervals: 95 %, Student's t over cohorts; in bold where 0 lies outside. *Detectable* is "
    "the smallest true difference that this many cohorts find with 80 % power."
)
IMAGES = (
    "{seeds} seeds at pi = {pi:g}. {training_patients} untreated patients train, {held_out_patients} are held "
    "out, {images_per_patient} cores of {width_px} um each, prepared as `extract` does. CNN-SASM from scratch, "
    "recipe `{recipe}` with {changes}; {epochs} epochs with all patients and twice as many with half of them, "
    "so that every arm has the same number of steps. The Cox arm has the partial likelihood of each batch as "
    "its loss. A patient's score is the mean probability over images. In brackets: 95 %, Student's t over "
    "seeds; beside it that of {bootstraps:,} bootstraps of the held-out patients, which leaves out how "
    "differently encoders train.",
    "These sizes were chosen on another seed (11) for the time they take, and so that the encoder learns when the "
    "label it is given is A > 0 itself; no arm was looked at. It is a small and noisy encoder.",
)
LATER = (
    "**Exploratory: added after the results above had been seen**, to tell where the gain comes from; {cohorts} "
    "cohorts per setting. *Recurrence within two years* leaves out whoever was not followed recurrence-free "
    "that long, which drops early deaths and unclear statuses as the selection does, without looking at later "
    "survival. *Cox, recurrence or death* uses deaths too, as the selection does, and everybody's follow-up."
)
NOT_RUN = "Not run yet: `hccfeat evidence denoising` without `--tabular-only` fills this part."


def tabular_part(part: Part, study: Denoising) -> tuple[Section, list[str]]:
    """The stand-in's section and summary."""
    cohorts = gain(part, COMPARED[0], "auroc_a", **DEFAULT).n
    text = TABULAR.format(
        cohorts=cohorts,
        settings=len(study.pi) * len(study.gamma),
        **study.tabular.model_dump(exclude={"replicates"}),
    )
    tables = [_gain_table(part, study, measure) for measure in MEASURES]
    tables += [_trend_table(part, study), _level_table(part, study), _agreement_table(part, study)]
    section = Section("Tabular stand-in of the encoder", [text], tables, [_figure(part, study)])
    return section, _tabular_summary(part, study, cohorts)


def _tabular_summary(part: Part, study: Denoising, cohorts: int) -> list[str]:
    lines = [f"Stand-in of the encoder, {cohorts} cohorts, AUROC for A > 0, denoised labels minus another arm:"]
    for arm in COMPARED:
        found = gain(part, arm, "auroc_a", **DEFAULT)
        control = gain(part, arm, "auroc_a", pi=DEFAULT["pi"], gamma=0.0)
        lines.append(
            f"minus {ARMS[arm]}: {difference(found)} at pi 0.4 and gamma 1 ({verdict(found)}); "
            f"{difference(control)} at gamma 0 ({verdict(control)})."
        )
    for arm in ("all", "random"):
        slope = trend(part, arm, "auroc_a", study.pi, DEFAULT["gamma"])
        says = {1: "rises with pi", -1: "falls with pi", 0: "has no trend in pi that was found"}[slope.direction]
        lines.append(f"The difference to {ARMS[arm]} {says} at gamma 1: {difference(slope)} per unit of pi.")
    return lines


def _by_setting(study: Denoising, cells: Callable[[float, float], Sequence[str]]) -> list[list[str]]:
    """One row of cells per gamma, the informative one first, and pi."""
    return [
        [f"{gamma:g}", f"{pi:g}", *cells(gamma, pi)]
        for gamma in sorted(study.gamma, reverse=True)
        for pi in study.pi
    ]


def _gain_table(part: Part, study: Denoising, measure: str) -> EvidenceTable:
    def cells(gamma: float, pi: float) -> list[str]:
        found = [gain(part, arm, measure, pi=pi, gamma=gamma) for arm in COMPARED]
        spreads = [one.sd or 0.0 for one in found]
        detectable = max(one.detectable or 0.0 for one in found)
        spread = f"{min(spreads):.3f} to {max(spreads):.3f}"
        return [*(cell(one) for one in found), spread, f"{detectable:.4f}"]

    columns = ["gamma", "pi", *(f"minus {ARMS[arm]}" for arm in COMPARED), "SD between cohorts", "detectable"]
    return EvidenceTable(
        columns, _by_setting(study, cells), f"Denoised labels minus each arm, {MEASURES[measure]}:"
    )


def _trend_table(part: Part, study: Denoising) -> EvidenceTable:
    rows = [
        [f"{gamma:g}", MEASURES[measure], *(cell(trend(part, arm, measure, study.pi, gamma)) for arm in COMPARED)]
        for gamma in sorted(study.gamma, reverse=True)
        for measure in MEASURES
    ]
    caption = "Does the difference change with pi? Slope per unit of pi within each seed:"
    return EvidenceTable(["gamma", "measure", *(f"minus {ARMS[arm]}" for arm in COMPARED)], rows, caption)


def _level_table(part: Part, study: Denoising) -> EvidenceTable:
    names = {**ARMS, **REFERENCES}

    def cells(gamma: float, pi: float) -> list[str]:
        return [
            " / ".join(f"{level(part, f'{arm}:{measure}', pi=pi, gamma=gamma):.3f}" for measure in MEASURES)
            for arm in names
        ]

    caption = f"Mean of each arm, {' / '.join(MEASURES.values())}:"
    return EvidenceTable(["gamma", "pi", *names.values()], _by_setting(study, cells), caption)


def _agreement_table(part: Part, study: Denoising) -> EvidenceTable:
    def cells(gamma: float, pi: float) -> list[str]:
        return [f"{100 * level(part, f'{arm}:agreement', pi=pi, gamma=gamma):.1f} %" for arm in LABELLED]

    columns = ["gamma", "pi", *(ARMS[arm] for arm in LABELLED)]
    return EvidenceTable(columns, _by_setting(study, cells), "Training labels that equal A > 0:")


def _figure(part: Part, study: Denoising) -> EvidenceFigure:
    panels = {
        f"{MEASURES['auroc_a']}, gamma = {gamma:g}": {
            f"minus {ARMS[arm]}": [gain(part, arm, "auroc_a", pi=pi, gamma=gamma) for pi in study.pi]
            for arm in COMPARED
        }
        for gamma in sorted(study.gamma, reverse=True)
    }
    along = "pi: share of recurrence times that disease does not decide"
    drawn = difference_panels("denoising", panels, study.pi, along, "denoised labels minus arm")
    caption = "SIMULATED. Gain of denoised labels on A > 0 with 95 % intervals; gamma = 0 is the negative control."
    return EvidenceFigure("tabular", drawn, caption)


def sensitivity_part(part: Part, study: Denoising) -> Section:
    """The section of the stand-ins with one setting changed."""
    rows = [
        [
            kind.name, MEASURES[measure], f"{level(part, f'drl:{measure}', changed=kind.name):.3f}",
            *(cell(gain(part, arm, measure, changed=kind.name)) for arm in COMPARED),
        ]
        for kind in study.sensitivity
        for measure in MEASURES
    ]  # fmt: skip
    changes = "; ".join(
        f"{kind.name}: {', '.join(f'{key} = {value}' for key, value in kind.changes().items())}"
        for kind in study.sensitivity
    )
    cohorts = gain(part, COMPARED[0], "auroc_a", changed=study.sensitivity[0].name).n
    text = (
        f"One setting of the stand-in changed at a time, at pi = {DEFAULT['pi']:g} and gamma = "
        f"{DEFAULT['gamma']:g}, {cohorts} cohorts each ({changes})."
    )
    columns = ["changed", "measure", ARMS["drl"], *(f"minus {ARMS[arm]}" for arm in COMPARED)]
    return Section("Does the answer hang on the stand-in?", [text], [EvidenceTable(columns, rows)])


def exploratory_part(part: Part, study: Denoising) -> Section:
    """The section of the arms that were added later."""

    def cells(gamma: float, pi: float) -> list[str]:
        found = [gain(part, arm, measure, pi=pi, gamma=gamma) for measure in MEASURES for arm in EXPLORATORY]
        return [cell(one) for one in found]

    names = [f"minus {name}: {measure}" for measure in MEASURES.values() for name in EXPLORATORY.values()]
    cohorts = gain(part, next(iter(EXPLORATORY)), "auroc_a", **DEFAULT).n
    table = EvidenceTable(["gamma", "pi", *names], _by_setting(study, cells))
    return Section("Where does the gain come from?", [LATER.format(cohorts=cohorts)], [table])


def image_part(part: Part, study: Denoising) -> tuple[Section, list[str]]:
    """The section and summary of the image pipeline; of the seeds that are complete."""
    title = "Simulated images and CNN-SASM"
    finished = complete(part, study)
    seeds = {row["seed"] for row in finished.select()}
    if not seeds:
        return Section(title, [NOT_RUN]), ["Images: not run yet."]
    sizes = study.images
    changed = {**sizes.patches, **sizes.options, **sizes.training}
    changes = ", ".join(f"{name} = {value}" for name, value in changed.items())
    text = IMAGES[0].format(**{**sizes.model_dump(), "seeds": len(seeds)}, changes=changes)
    tables = [_image_gains(finished, study), _image_levels(finished, study)]
    return Section(title, [text, IMAGES[1]], tables), _image_summary(finished, study)


def _image_gains(part: Part, study: Denoising) -> EvidenceTable:
    rows = []
    for gamma in sorted(study.images.gamma, reverse=True):
        for measure in MEASURES:
            for arm in COMPARED:
                found, patients = gains(part, study, arm, measure, gamma)
                spread, detectable = (signed(value, 3).lstrip("+") for value in (found.sd, found.detectable))
                rows.append(
                    [f"{gamma:g}", MEASURES[measure], ARMS[arm], cell(found, 3), patients, spread, detectable]
                )
    columns = ["gamma", "measure", "denoised minus", "difference", "patient bootstrap", "SD", "detectable"]
    return EvidenceTable(columns, rows)


def _image_levels(part: Part, study: Denoising) -> EvidenceTable:
    rows = []
    for gamma in sorted(study.images.gamma, reverse=True):
        for arm in ARMS:
            found = part.select(gamma=gamma, arm=arm)
            cells = []
            for measure in MEASURES:
                cells.append(f"{np.mean([row[measure] for row in found]):.3f}")
                cells.append(", ".join(f"{row[measure]:.3f}" for row in found))
            judged = ", ".join(f"{row['events_1y']}/{row['n_1y']}" for row in found)
            rows.append([f"{gamma:g}", ARMS[arm], *cells, judged])
    columns = ["gamma", "arm", "1-year label", "by seed", "A > 0", "by seed", "events/n at 1 year, by seed"]
    return EvidenceTable(columns, rows, "AUROC of each arm, mean and by seed:")


def _image_summary(part: Part, study: Denoising) -> list[str]:
    lines = []
    for arm in COMPARED:
        found, control = (gains(part, study, arm, "auroc_a", gamma)[0] for gamma in (1.0, 0.0))
        lines.append(
            f"Images and CNN-SASM, {found.n} seeds, A > 0, minus {ARMS[arm]}: {difference(found, 3)} at gamma 1 "
            f"({verdict(found)}); {difference(control, 3)} at gamma 0 ({verdict(control)})."
        )
    return lines

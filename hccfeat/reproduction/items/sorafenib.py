"""Items 28 to 33 and 45: the patients treated with sorafenib (P1, Table 4, Fig 7, Table S2)."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from hccfeat.analysis.baseline import clinical_table, compare_coded
from hccfeat.analysis.codings import load_codings
from hccfeat.analysis.drs import deep_risk_scores
from hccfeat.analysis.flow import imaged_patients
from hccfeat.analysis.interaction import interaction
from hccfeat.analysis.treatment import (
    Comparison,
    Patients,
    compare_arms,
    compare_predicted,
    judged,
    score_against_time,
    training_cut,
)
from hccfeat.report.treatment_figures import comparison_figure, score_figure
from hccfeat.reproduction.baseline_blocks import TEST_RULE, coded_table
from hccfeat.reproduction.blocks import Block, Figure, Item, Note
from hccfeat.reproduction.context import Context
from hccfeat.reproduction.printed import printed
from hccfeat.reproduction.treatment_blocks import (
    comparison_table,
    curve_figures,
    difference_table,
    interaction_table,
    score_table,
)

ASSIGNMENT = ("vascular_invasion", "tumour_size", "bclc", "afp")
"""What decided about treatment, as far as the paper's tables tell."""

NOT_RANDOMISED = Note(
    "Sorafenib was not assigned at random: who received it differed in what also drives recurrence (item 31 has "
    "the table). A comparison of treated and untreated patients, adjusted or not, cannot prove that sorafenib "
    "helps, nor that it does not. A P below 0.05 in one predicted group beside one above it in the other is no "
    "evidence that the groups differ: that is what the interaction test of item 31 asks.",
    "caution",
)
TREATED_TRAIN_NOTHING = (
    "Treated patients train neither encoder nor network, so that those of the training part judge as well. "
)


def table_4(context: Context) -> list[Block]:
    """Item 28, Table 4: treated patients without and with recurrence."""
    kept = imaged_patients(context.data("final"), context.internal)
    treated = kept.filter(pl.col("treated").fill_null(value=False))
    clinical = clinical_table(context.study, context.internal)
    first, second = (
        clinical.join(treated.filter(pl.col("event") == happened), on="patient_id", how="semi")
        for happened in (False, True)
    )
    rows = compare_coded(first, second, load_codings(context.study).table4)
    groups = (f"No recurrence, n = {first.height}", f"Recurrence, n = {second.height}")
    caption = "Table 4: patients treated with sorafenib by recurrence until last follow-up"
    note = (
        "Of the printed table, the HBsAg counts are taken as transposed and BCLC I with recurrence as 3, not 13: "
        "the columns then sum to 31 and 48, and the tests give the printed P values. A P above 0.05 among few "
        "patients does not show that a variable makes no difference."
    )
    return [Note(TEST_RULE), coded_table(rows, groups, caption, printed_table="table4"), Note(note)]


def predicted_groups(context: Context) -> list[Block]:
    """Item 29, Fig 7A: treated patients by predicted group at the 1-year cut."""
    horizon = context.data("1y").horizon_months
    found: list[tuple[Comparison, float | None]] = []
    for patients in _treated(context):
        known = printed("sorafenib", "logrank_p") if patients.name == HELD_OUT_TREATED else None
        for end in (horizon, None):
            named = f"{patients.name}, {'whole follow-up' if end is None else f'until {end:g} months'}"
            found.append((compare_predicted(patients.take(_everyone(patients), named), end), known))
    cut = training_cut(context.risks("1y"))
    note = (
        f"High risk, predicted to recur: 1-year PPS risk above {cut:.4g}, the median of the training patients (P1 "
        f"reading 28). {TREATED_TRAIN_NOTHING}The paper has {printed('sorafenib', 'test_patients')} such held-out "
        "patients and does not say where their follow-up ends."
    )
    return [
        Note(note),
        comparison_table(found, "Treated patients by predicted group", printed_of="logrank"),
        *curve_figures([comparison for comparison, _ in found], "Time to recurrence by predicted group"),
    ]


def drs_against_time(context: Context) -> list[Block]:
    """Item 30, Fig 7B: deep risk score and 1-year risk against recurrence-free months of treated patients."""
    scores = deep_risk_scores(context.study, context.feature_set, context.internal)
    rows, panels = [], []
    for patients in _treated(context):
        joined = pl.DataFrame({"patient_id": patients.ids}, schema={"patient_id": pl.String}).join(
            scores, on="patient_id", how="left", maintain_order="left"
        )
        drs = joined["drs"].to_numpy()
        both = (("Deep risk score (DRS)", drs), ("1-year PPS risk", patients.risk))
        for label, values in both:
            result = score_against_time(patients, label, values, context.config.analysis)
            known = patients.name == HELD_OUT_TREATED
            r, p = (printed("sorafenib", key) if known else None for key in ("pearson_r", "pearson_p"))
            rows.append((patients.name, result, r, p))
            if known and len(patients):
                panels.append(result)
    note = (
        "The deep risk score is the encoder's own mean patch probability (P1 reading 36); the 1-year risk is the "
        "prognostic network's. Pearson's r takes every time for a time to recurrence, though some only end "
        "follow-up (P1 reading 31b); Cox and Harrell's C do not. " + TREATED_TRAIN_NOTHING.strip()
    )
    blocks: list[Block] = [Note(note), score_table(rows, "Scores against recurrence-free months, sorafenib")]
    if panels:
        title = "Scores against recurrence-free months, held-out patients with sorafenib"
        blocks.append(
            Figure(
                lambda key, simulated: score_figure(key, panels, title=title, simulated=simulated),
                f"{title}; filled: recurred, open: censored",
            )
        )
    return blocks


def arms_of_all(context: Context) -> list[Block]:
    """Item 31, Fig 7C: both arms among all patients, who was treated, and the treatment x risk interaction."""
    both = _both(context)
    blocks = _arms(both, "all", printed("sorafenib", "all_p"))
    return [*blocks, *_assignment(context, both[1]), *_interaction(context, both)]


def arms_of_predicted(context: Context) -> list[Block]:
    """Item 32, Fig 7D: both arms among patients predicted to recur within a year."""
    found = [patients.take(patients.high, f"{patients.name}, predicted recurrence") for patients in _both(context)]
    return _arms(found, "predicted recurrence", printed("sorafenib", "predicted_recurrence"))


def arms_of_free(context: Context) -> list[Block]:
    """Item 33, Fig 7E: both arms among patients predicted to stay recurrence-free for a year."""
    found = [
        patients.take(~patients.high, f"{patients.name}, predicted recurrence-free") for patients in _both(context)
    ]
    return _arms(found, "predicted recurrence-free", printed("sorafenib", "predicted_free"))


def table_s2(context: Context) -> list[Block]:
    """Item 45, Table S2: treated held-out patients by predicted group."""
    patients = _treated(context)[0]
    clinical = clinical_table(context.study, context.internal)
    ids = np.array(patients.ids, dtype=object)
    first, second = (
        clinical.filter(pl.col("patient_id").is_in(ids[mask].tolist())) for mask in (~patients.high, patients.high)
    )
    rows = compare_coded(first, second, load_codings(context.study).table4)
    groups = (
        f"Predicted recurrence-free, n = {first.height}",
        f"Predicted recurrence, n = {second.height}",
    )
    caption = "Table S2: held-out patients with sorafenib by predicted group at the 1-year cut"
    note = "The numbers of paper 1's Table S2 are in its supplement and not printed beside ours."
    return [Note(TEST_RULE), coded_table(rows, groups, caption), Note(note)]


HELD_OUT_TREATED = "held-out patients with sorafenib"
ALL_TREATED = "all patients with sorafenib"


def _both(context: Context) -> tuple[Patients, Patients]:
    """Held-out patients of both arms, and the same with every treated patient."""
    risks, follow_up = context.risks("1y"), context.data("final").patients
    held_out, with_all = (
        judged(risks, follow_up, context.internal, all_treated=all_treated) for all_treated in (False, True)
    )
    return held_out, with_all


def _treated(context: Context) -> tuple[Patients, Patients]:
    held_out, with_all = _both(context)
    return held_out.take(held_out.treated, HELD_OUT_TREATED), with_all.take(with_all.treated, ALL_TREATED)


def _everyone(patients: Patients) -> np.ndarray:
    return np.ones(len(patients), dtype=bool)


def _arms(found: Sequence[Patients], who: str, known: float | str | None) -> list[Block]:
    compared = [compare_arms(patients) for patients in found]
    # The paper compares the held-out patients; what is printed stands beside those.
    rows = [(compared[0], known), *((comparison, None) for comparison in compared[1:])]
    title = f"Recurrence-free months by arm, {who}"
    return [
        NOT_RANDOMISED,
        comparison_table(rows, title, printed_of="test"),
        difference_table(compared, f"Absolute difference between the arms, {who}"),
        Figure(
            lambda key, simulated: comparison_figure(key, compared, title=title, simulated=simulated),
            f"{title}; filled: recurred, open: censored",
        ),
        *curve_figures(compared, "Time to recurrence by arm"),
    ]


def _assignment(context: Context, patients: Patients) -> list[Block]:
    clinical = clinical_table(context.study, context.internal)
    ids = np.array(patients.ids, dtype=object)
    first, second = (
        clinical.filter(pl.col("patient_id").is_in(ids[mask].tolist()))
        for mask in (~patients.treated, patients.treated)
    )
    rows = compare_coded(first, second, load_codings(context.study).table1)
    groups = (f"Untreated held out, n = {first.height}", f"Sorafenib, n = {second.height}")
    return [coded_table(rows, groups, "Both arms at baseline: who was given sorafenib")]


def _interaction(context: Context, both: Sequence[Patients]) -> list[Block]:
    clinical = clinical_table(context.study, context.internal)
    codings = [coding for coding in load_codings(context.study).table1 if coding.variable in ASSIGNMENT]
    found = []
    for patients in both:
        ids = pl.DataFrame({"patient_id": patients.ids}, schema={"patient_id": pl.String})
        mine = ids.join(clinical, on="patient_id", how="left", maintain_order="left")
        covariates = {f"{coding.variable} {coding.yes}": coding.coded(mine) for coding in codings}
        found += [interaction(patients, covariates, with_products=products) for products in (False, True)]
    text = (
        "Cox regression with Efron ties of the whole recurrence-free follow-up on treatment, the 1-year PPS risk "
        "(centred, per SD of these patients) and what decided about treatment, without and with the product of "
        "treatment and risk. The hazard ratio of sorafenib is that at the mean risk; a product below 1 would mean "
        "that sorafenib does relatively better at higher risk. The likelihood-ratio test compares the two models. "
        "A second pair adds the product of risk with each covariate: without it, a covariate that decided "
        "about treatment can pass for treatment (docs/evidence/treatment.md)."
    )
    return [Note(text), interaction_table(found, "Treatment x risk interaction, adjusted")]


ITEMS: tuple[Item, ...] = (
    Item(28, "Table 4", "Sorafenib group by recurrence", table_4),
    Item(29, "Fig 7A", "Sorafenib: curves by predicted group", predicted_groups),
    Item(30, "Fig 7B", "Sorafenib: risk score against recurrence-free months", drs_against_time),
    Item(31, "Fig 7C", "Recurrence-free months by arm, all; interaction", arms_of_all),
    Item(32, "Fig 7D", "Recurrence-free months by arm, predicted recurrence", arms_of_predicted),
    Item(33, "Fig 7E", "Recurrence-free months by arm, predicted recurrence-free", arms_of_free),
    Item(45, "Table S2", "Sorafenib held-out patients by predicted group", table_s2),
)

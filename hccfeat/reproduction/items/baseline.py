"""Items 1 and 3: who is in the study, and their baseline by split."""

from typing import Any

import polars as pl

from hccfeat.analysis.baseline import clinical_table, compare_coded, compare_numbers
from hccfeat.analysis.codings import load_codings
from hccfeat.analysis.flow import (
    Flow,
    FollowUpRule,
    cohort_flow,
    follow_up_rule,
    imaged_patients,
    labelled_counts,
)
from hccfeat.report.diagram import Box, diagram
from hccfeat.report.formatting import MISSING
from hccfeat.report.tables import Column
from hccfeat.reproduction.baseline_blocks import TEST_RULE, coded_table, number_table
from hccfeat.reproduction.blocks import Block, Figure, Item, Note, Table
from hccfeat.reproduction.context import HORIZONS, Context
from hccfeat.reproduction.printed import difference, printed
from hccfeat.stats.estimate import count

ROLES = {"train": "training", "held_out": "held out", "external": "external", "all": "described"}


def flow_blocks(context: Context) -> list[Block]:
    """Item 1: how the rows of the tables became patients, images, parts of the split and labels."""
    cohorts = [context.internal, *([context.external] if context.external else [])]
    flows = [cohort_flow(context.study, cohort, context.feature_set.name) for cohort in cohorts]
    rule = follow_up_rule(context.study, context.internal, context.data("final"))
    rows = [row for flow in flows for row in _flow_rows(context, flow, rule)]
    blocks: list[Block] = [
        _flow_figure(context, flows[0]),
        _flow_table(rows),
        _ingest_table(flows),
    ]
    if rule is not None:
        text = (
            f"Follow-up rule (P1 reading 27b): {rule.used} of {rule.patients} patients were alive and "
            f"recurrence-free at a last contact before {rule.months:g} months and leave. Taken literally, the "
            f"paper's rule (followed up for less than 2 years) would take out {rule.literal}, early recurrences "
            "and deaths among them, and so condition on the outcome."
        )
        blocks.append(Note(text))
    return blocks


def _flow_rows(context: Context, flow: Flow, rule: FollowUpRule | None) -> list[dict[str, Any]]:
    """Rows (cohort, step, n, printed): the paper's counts are those of its own development cohort."""
    data = context.data("final")
    kept = imaged_patients(data, flow.cohort)
    treated = kept.filter(pl.col("treated").fill_null(value=False)).height
    if flow.cohort != context.internal:
        facts = [
            ("patients in the table", flow.patients, None),
            ("images found", flow.images, None),
            ("images with usable patches", flow.used_images, None),
            ("patients who stay, untreated", kept.height - treated, printed("cohort", "external_patients")),
        ]
        return [_row(flow.cohort, *fact) for fact in facts]
    facts = [
        ("patients in the table", flow.patients, printed("cohort", "enrolled_patients")),
        ("of them untreated", flow.patients - flow.treated, printed("cohort", "untreated_enrolled")),
        ("of them treated with sorafenib", flow.treated, printed("cohort", "sorafenib_enrolled")),
        ("images found", flow.images, printed("cohort", "enrolled_images")),
        ("images not readable or not embedded", flow.unreadable, None),
        *((f"images excluded: {why}", images, None) for why, images in flow.excluded_images.items()),
        ("images with usable patches", flow.used_images, printed("cohort", "images")),
        ("patients with such an image", flow.imaged, None),
        *([] if rule is None else [("patients who leave by the follow-up rule used", rule.used, None)]),
        *([] if rule is None else [("patients who would leave by its literal reading", rule.literal, None)]),
        ("patients who stay", kept.height, printed("cohort", "patients")),
        ("of them untreated", kept.height - treated, printed("cohort", "untreated")),
        ("of them treated with sorafenib", treated, printed("cohort", "sorafenib")),
    ]
    return [_row(flow.cohort, *fact) for fact in [*facts, *_split_facts(context)]]


def _split_facts(context: Context) -> list[tuple[str, int, int | None]]:
    """Sizes of the split's parts, and labels and events of each horizon among the untreated."""
    counts = {horizon: labelled_counts(context.data(horizon), context.internal) for horizon in HORIZONS}
    sizes = {(row["role"], row["treated"]): row["patients"] for row in counts["final"]}
    totals = dict(zip(("train", "held_out"), printed("table1", "n"), strict=True))
    held_out = sum(printed("table3", "confusion", "pps", "1y"))
    treated = printed("sorafenib", "test_patients")
    known = {
        ("held_out", False): held_out,
        ("held_out", True): treated,
        ("train", False): printed("cohort", "untreated") - held_out,
        ("train", True): printed("cohort", "sorafenib") - treated,
    }
    facts: list[tuple[str, int, int | None]] = []
    for role, total in totals.items():
        name = ROLES[role]
        facts.append((name, sizes.get((role, False), 0) + sizes.get((role, True), 0), total))
        facts.append((f"{name}, untreated", sizes.get((role, False), 0), known[role, False]))
        facts.append((f"{name}, sorafenib (trains nothing)", sizes.get((role, True), 0), known[role, True]))
    for horizon in HORIZONS:
        rows = {row["role"]: row for row in counts[horizon] if not row["treated"]}
        positive, _, negative, _ = printed("table3", "confusion", "pps", horizon)
        for role in totals:
            row = rows.get(role, {"labelled": 0, "events": 0})
            labelled, events = (held_out, positive + negative) if role == "held_out" else (None, None)
            who = f"{ROLES[role]}, untreated, endpoint {horizon}"
            facts.append((f"{who}: with a label", row["labelled"], labelled))
            facts.append((f"{who}: recurrences among them", row["events"], events))
    return facts


def _row(cohort: str, step: str, n: int, known: int | None) -> dict[str, Any]:
    apart = difference(n, known)
    return {"cohort": cohort, "step": step, "n": n, "printed": known, "difference": apart}


def _flow_table(rows: list[dict[str, Any]]) -> Table:
    cells = [
        {
            "cohort": f"Cohort {row['cohort']}",
            "step": row["step"],
            "n": str(row["n"]),
            "printed": MISSING if row["printed"] is None else str(row["printed"]),
            "difference": MISSING if row["difference"] is None else f"{row['difference']:+d}",
        }
        for row in rows
    ]
    columns = [
        Column("step", "Step"),
        Column("n", "Here", "right"),
        Column("printed", "Printed", "right"),
        Column("difference", "Difference", "right"),
    ]
    caption = (
        "Cohort flow; the printed parts of the split follow from paper 1's Tables 1 and 3. Patients who stay "
        "have an outcome and an image with usable patches"
    )
    return Table(columns, cells, caption, group="cohort", data=rows)


def _ingest_table(flows: list[Flow]) -> Table:
    data = [{"cohort": flow.cohort, **step} for flow in flows for step in flow.steps]
    cells = [
        {
            "cohort": f"Cohort {row['cohort']}",
            "step": row["step"],
            "n": str(row["n"]),
            "excluded": str(row["excluded"] or 0),
            "reason": row["reason"] or "",
        }
        for row in data
    ]
    columns = [
        Column("step", "Step at ingest"),
        Column("n", "Left", "right"),
        Column("excluded", "Excluded", "right"),
        Column("reason", "Why"),
    ]
    return Table(columns, cells, "From rows of the clinical tables to patients with outcomes", "cohort", data)


def _flow_figure(context: Context, flow: Flow) -> Figure:
    kept = imaged_patients(context.data("final"), flow.cohort)
    excluded = sum(flow.excluded_images.values()) + flow.unreadable
    parts = []
    for colour, (role, name) in enumerate((("train", "Training"), ("held_out", "Held out"))):
        inside = kept.filter(pl.col("role") == role)
        treated = inside.filter(pl.col("treated").fill_null(value=False)).height
        lines = (f"{inside.height - treated} untreated", f"{treated} with sorafenib (train nothing)")
        parts.append(Box(f"{name}: {count(inside.height, 'patient')}", lines, colour + 1))
    rows = (
        (Box("In the table", (count(flow.patients, "patient"), count(flow.images, "image"))),),
        (
            Box("Left", (count(kept.height, "patient"), f"{flow.used_images} images with usable patches")),
            Box("Gone", (f"{flow.patients - kept.height} patients", f"{excluded} images"), 4),
        ),
        tuple(parts),
    )
    return Figure(
        lambda key, simulated: diagram(key, rows, title="Cohort flow", simulated=simulated),
        f"Flow of cohort {flow.cohort}: gone are patients without an outcome by the follow-up rule or without a "
        "usable image",
    )


def table_1(context: Context) -> list[Block]:
    """Item 3, Table 1: clinical variables of the training and the held-out patients."""
    kept = imaged_patients(context.data("final"), context.internal)
    clinical = clinical_table(context.study, context.internal)
    first, second = (
        clinical.join(kept.filter(pl.col("role") == role), on="patient_id", how="semi")
        for role in ("train", "held_out")
    )
    groups = (f"Training, n = {first.height}", f"Held out, n = {second.height}")
    codings = load_codings(context.study).table1
    caption = (
        "Table 1: baseline by split, counts and shares of those with the variable known; printed training and test "
        "patients beside"
    )
    rows = compare_coded(first, second, codings)
    variables = context.variables
    numbers = {
        name: f"{variable.label}, {variable.unit}" if variable.unit else variable.label
        for name, variable in variables.items()
        if variable.type == "number" and not variable.allowed
    }
    return [
        Note(TEST_RULE),
        coded_table(rows, groups, caption, printed_table="table1"),
        number_table(
            compare_numbers(first, second, numbers), groups, "The numbers as recorded: median (quartiles)"
        ),
    ]


ITEMS: tuple[Item, ...] = (
    Item(1, "Results, cohort", "Cohort flow", flow_blocks),
    Item(3, "Table 1", "Baseline by split", table_1),
)

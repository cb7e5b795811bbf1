"""The page of the null study: how often intervals cover the truth, and how often tests find what is not there."""

from dataclasses import dataclass

import numpy as np

from hccfeat.evidence.page import Evidence, EvidenceTable, Section
from hccfeat.evidence.record import Part, Record
from hccfeat.evidence.settings import Null
from hccfeat.evidence.treatment_page import share
from hccfeat.stats.estimate import Z

QUESTION = (
    "Recurrence and survival are permuted among the patients of a cohort, all outcomes of a patient together, "
    "*before* labels are selected and anything is trained. Nothing can then be predicted: the AUROC is 0.5 and "
    "the hazard ratio 1. The whole stand-in pipeline runs: denoised labels, ridge logistic regression on "
    "image-like features in place of the encoder (as in denoising.md), a logistic model of the 1-year label on "
    "its output, the risk of held-out patients. Counted is how often the 95 % intervals and tests of the report "
    "keep their word."
)
LEAK = (
    "So that this can fail: the last row lets the encoder see the held-out patients' (permuted) labels as well, "
    "and changes nothing else. That leak is what the one-encoder-per-fold rule forbids, and the count finds it."
)
IMAGES = (
    "Through images, the real encoder and the store, with three seeds: the permuted arm of "
    "[held-out.md](held-out.md)."
)


@dataclass(frozen=True)
class Coverage:
    """A statement of the report, and in how many of the replicates that make it it is right."""

    short: str
    statement: str
    right: int
    made: int
    asked: bool = True

    @property
    def rate(self) -> float:
        """Share of right statements."""
        return self.right / self.made

    def within(self, limits: tuple[float, float]) -> bool:
        """Whether that share is where it must be."""
        return limits[0] <= self.rate <= limits[1]


def coverages(part: Part, held_out: int) -> list[Coverage]:
    """Count over the replicates of one size; the last is the leak, which is not asked to hold."""
    rows = part.select(held_out_patients=held_out)

    def inside(lower: str, upper: str) -> tuple[int, int]:
        made = [row for row in rows if row[lower] is not None and row[upper] is not None]
        return sum(row[lower] <= 0.5 <= row[upper] for row in made), len(made)

    hazards = [row for row in rows if row["log_hr"] is not None]
    one = sum(abs(row["log_hr"]) <= Z * row["log_hr_error"] for row in hazards)
    tested = [row["logrank_p"] for row in rows if row["logrank_p"] is not None]
    silent = sum(p >= 0.05 for p in tested)
    delong, bootstrap = inside("delong_lower", "delong_upper"), inside("bootstrap_lower", "bootstrap_upper")
    leak = inside("leak_lower", "leak_upper")
    return [
        Coverage("DeLong", "AUROC, DeLong's interval covers 0.5", *delong),
        Coverage("bootstrap", "AUROC, interval of the patient bootstrap covers 0.5", *bootstrap),
        Coverage("hazard ratio", "hazard ratio per SD of risk, Wald interval covers 1", one, len(hazards)),
        Coverage("log-rank", "log-rank test at the training median, P at least 0.05", silent, len(tested)),
        Coverage("leak", "with a leak: DeLong's interval covers 0.5", *leak, asked=False),
    ]


def page(command: str, record: Record, part: Part, study: Null) -> Evidence:
    """Put the page together."""
    return Evidence(
        study="null",
        title="does nothing come out where there is nothing?",
        command=command,
        summary=[_answer(part, study, held_out) for held_out in study.held_out_patients],
        sections=[
            Section("The question", [QUESTION, LEAK]),
            Section("Coverage", [_sizes(study)], [_table(part, study, n) for n in study.held_out_patients]),
            Section("Images", [IMAGES]),
        ],
        record=record,
    )


def _answer(part: Part, study: Null, held_out: int) -> str:
    *asked, leak = coverages(part, held_out)
    cohorts = len(part.select(held_out_patients=held_out))
    kept = sum(one.within(study.coverage) for one in asked)
    shares = ", ".join(f"{one.short} {100 * one.rate:.1f} %" for one in asked)
    return (
        f"{held_out} held-out patients, {cohorts} permuted cohorts: {kept} of {len(asked)} statements are right "
        f"in {_limits(study)} of them ({shares}). Mean AUROC {_mean(part, held_out, 'auroc'):.4f}. With a leak "
        f"DeLong's interval covers 0.5 in {100 * leak.rate:.1f} %."
    )


def _table(part: Part, study: Null, held_out: int) -> EvidenceTable:
    cohorts = len(part.select(held_out_patients=held_out))
    events, labelled, area, leaked = (
        _mean(part, held_out, name) for name in ("events_1y", "n_1y", "auroc", "leak_auroc")
    )
    return EvidenceTable(
        ["statement", "right in", "false positives", "made in", f"within {_limits(study)}"],
        [_row(one, cohorts, study) for one in coverages(part, held_out)],
        f"{held_out} held-out patients, {cohorts} replicates (on average {events:.1f} recurrences among "
        f"{labelled:.1f} with a 1-year label); mean AUROC {area:.4f}, with the leak {leaked:.4f}:",
    )


def _limits(study: Null) -> str:
    low, high = study.coverage
    return f"{100 * low:.0f} to {100 * high:.0f} %"


def _mean(part: Part, held_out: int, column: str) -> float:
    return float(np.mean([row[column] for row in part.select(held_out_patients=held_out)]))


def _sizes(study: Null) -> str:
    return (
        f"{study.training_patients} untreated patients train; {study.features} features, C = {study.c:g}, subset "
        f"{study.subset}; pi = {study.pi:g}, gamma = {study.gamma:g} before the permutation. Shares with Wilson's "
        "95 % interval. A statement that a replicate does not make (no interval, no test) is left out and counted "
        "in *made in*."
    )


def _row(found: Coverage, cohorts: int, study: Null) -> list[str]:
    within = ("yes" if found.within(study.coverage) else "**no**") if found.asked else "not asked"
    right, wrong = share((found.right, found.made)), share((found.made - found.right, found.made))
    return [found.statement, right, wrong, f"{found.made} of {cohorts}", within]

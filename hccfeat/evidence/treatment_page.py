"""The page of the treatment study: bias, coverage, power and type-I error from the kept replicates."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import norm

from hccfeat.evidence.page import Evidence, EvidenceTable, Section
from hccfeat.evidence.paired import POWER, Paired, paired
from hccfeat.evidence.record import Part, Record
from hccfeat.evidence.settings import Treatment
from hccfeat.evidence.writing import difference
from hccfeat.report.formatting import MISSING, fixed
from hccfeat.stats.estimate import Z
from hccfeat.stats.threshold import wilson

RISKS = {"a": "the true A", "signal": "the noisy image signal"}
MODELS = {"adjusted": "assignment covariates", "products": "covariates and their products with risk"}
FITS = tuple(f"{risk}:{model}" for risk in RISKS for model in MODELS)

COLUMNS = (
    "pi", "b_AZ", "risk", "adjusted for", "target", "mean estimate", "bias against target", "SD", "mean SE",
    "covers target", "covers b_AZ", "rejects 0", "detectable",
)  # fmt: skip

QUESTION = (
    "Simulated sorafenib acts on the log hazard of recurrence with b_AZ x A x Z and has no effect of its own "
    "(b_Z = 0). It is given by vascular invasion, size, BCLC and AFP, which follow A: confounding by "
    "indication. A Cox model of recurrence (death first censors) has treatment, risk, treatment x risk and the "
    "four assignment covariates; asked is whether the coefficient of treatment x risk and its 95 % Wald "
    "interval say what is true. Risk is A itself, or the mean signal of two images (A + patient noise + image "
    "noise) in its own units, which stands for a model that has read the images perfectly. A second model adds "
    "the product of risk with each covariate."
)
TARGET = (
    "**What is estimated.** With A known and pi = 0 the model is the truth, and its coefficient is b_AZ. "
    "Otherwise it is not: replaced recurrence times (pi) and a noisy risk dilute it, and hazards averaged over "
    "what the model does not see are no longer proportional. The *target* of such a model is therefore what it "
    "gives in one cohort of {population:,} patients of the same population (standard error in brackets). Bias "
    "and coverage are given for the target and for b_AZ itself; missing b_AZ while covering the target is "
    "dilution, not a fault of the interval."
)
NULL = (
    "With b_AZ = 0 the target need not be exactly 0 either: A acts through a noisy risk and through covariates "
    "that also decide treatment, so that a product of risk with a covariate can show as one with treatment. The "
    "rejection rate at b_AZ = 0 therefore counts that as well, as a reader of such a test would."
)
BENEFIT = (
    "Treatment here is confounded by exactly the four covariates that the model holds. In a real cohort nobody "
    "knows that, and an interaction found there does not prove benefit."
)

READING = (
    "*Rejects 0* is the share of cohorts whose interval excludes 0: power where b_AZ is not 0, type-I error "
    "where it is 0. Shares with Wilson's 95 % interval; the interval of the bias also holds the target's "
    "standard error. *Detectable*: the coefficient that one study of this size finds with 80 % power. The "
    "number of cohorts was raised twice, from 200 and from 500, and the population once, because the first runs "
    "were too uncertain to judge a rate of 5 %; nothing else was changed."
)


@dataclass(frozen=True)
class Operating:
    """How one model does in one setting."""

    estimated: int
    mean: float
    sd: float | None
    error: float
    target: float | None
    target_error: float | None
    bias: Paired
    covers_target: tuple[int, int]
    covers_truth: tuple[int, int]
    rejects: tuple[int, int]

    @property
    def detectable(self) -> float:
        """Smallest true coefficient that one such study finds with 80 % power."""
        return float((Z + norm.ppf(POWER)) * self.error)


def operating(
    cohorts: Part, targets: Part, study: Treatment, patients: int, pi: float, b_az: float, fit: str
) -> Operating:
    """Summarise the replicates of a setting."""
    rows = [
        row for row in cohorts.select(patients=patients, pi=pi, b_az=b_az) if row[f"{fit}:estimate"] is not None
    ]
    aim: dict[str, Any] = targets.select(patients=study.population, pi=pi, b_az=b_az)[0]
    target, target_error = aim[f"{fit}:estimate"], aim[f"{fit}:error"]
    estimate = np.array([row[f"{fit}:estimate"] for row in rows])
    error = np.array([row[f"{fit}:error"] for row in rows])

    bias = paired(estimate - (b_az if target is None else target))
    uncertainty = Z * float(np.hypot((bias.sd or 0.0) / np.sqrt(len(rows)), target_error or 0.0))

    def count(hit: Any) -> tuple[int, int]:
        return int(np.sum(hit)), len(rows)

    return Operating(
        estimated=len(rows),
        mean=float(estimate.mean()),
        sd=float(estimate.std(ddof=1)) if len(rows) > 1 else None,
        error=float(error.mean()),
        target=target,
        target_error=target_error,
        bias=replace(bias, lower=bias.mean - uncertainty, upper=bias.mean + uncertainty),
        covers_target=count(np.abs(estimate - (np.nan if target is None else target)) <= Z * error),
        covers_truth=count(np.abs(estimate - b_az) <= Z * error),
        rejects=count(np.abs(estimate) > Z * error),
    )


def page(command: str, record: Record, cohorts: Part, targets: Part, study: Treatment) -> Evidence:
    """Put the page together."""

    def of(patients: int, pi: float, b_az: float, fit: str) -> Operating:
        return operating(cohorts, targets, study, patients, pi, b_az, fit)

    tables = [
        EvidenceTable(
            COLUMNS,
            [
                _row(of(patients, pi, b_az, f"{risk}:{model}"), f"{pi:g}", f"{b_az:g}", RISKS[risk], MODELS[model])
                for pi in study.pi
                for b_az in study.b_az
                for risk in RISKS
                for model in MODELS
            ],
            f"{_count(cohorts, patients):,} cohorts of {patients:,} patients in each setting (on average "
            f"{_mean(cohorts, patients, 'treated'):.0f} treated, {_mean(cohorts, patients, 'events'):.0f} "
            "recurrences):",
        )
        for patients in study.patients
    ]  # fmt: skip
    target = TARGET.format(population=study.population)
    return Evidence(
        study="treatment",
        title="is the treatment x risk interaction recovered?",
        command=command,
        summary=_summary(of, study),
        sections=[
            Section("The question", [QUESTION, target, NULL, BENEFIT]),
            Section("Bias, coverage, power, type-I error", [READING], tables),
        ],
        record=record,
    )


def _count(part: Part, patients: int) -> int:
    return len({row["seed"] for row in part.select(patients=patients)})


def _mean(part: Part, patients: int, column: str) -> float:
    return float(np.mean([row[column] for row in part.select(patients=patients)]))


def _row(found: Operating, *setting: str) -> list[str]:
    aim = MISSING if found.target is None else f"{found.target:.3f} ({fixed(found.target_error)})"
    return [
        *setting, aim, f"{found.mean:.3f}", difference(found.bias, 3), fixed(found.sd), f"{found.error:.3f}",
        share(found.covers_target), share(found.covers_truth), share(found.rejects), f"{found.detectable:.2f}",
    ]  # fmt: skip


def share(counted: tuple[int, int]) -> str:
    """A share in percent with Wilson's interval."""
    lower, upper = wilson(*counted)
    return f"{100 * counted[0] / counted[1]:.1f} % ({100 * lower:.1f} to {100 * upper:.1f})"


def _summary(of: Any, study: Treatment) -> list[str]:
    """The answer at the first size, and the power at the others."""
    main, effect = study.patients[0], min(study.b_az)
    lines = []
    for pi, risk in ((0.0, "a"), (0.4, "a"), (0.4, "signal")):
        found, none, products = (
            of(main, pi, b_az, f"{risk}:{model}")
            for b_az, model in ((effect, "adjusted"), (0.0, "adjusted"), (0.0, "products"))
        )
        lines.append(
            f"{main:,} patients, pi {pi:g}, risk = {RISKS[risk]}: mean estimate {found.mean:.3f} where b_AZ is "
            f"{effect:g} (target {fixed(found.target)}, bias against it {difference(found.bias, 3)}), its "
            f"interval covers the target in {share(found.covers_target)} and b_AZ in "
            f"{share(found.covers_truth)}; power {share(found.rejects)}; type-I error at b_AZ = 0 "
            f"{share(none.rejects)} (target {fixed(none.target)}), with products of risk and covariates "
            f"{share(products.rejects)} (target {fixed(products.target)})."
        )
    for patients in study.patients[1:]:
        found, none = (of(patients, 0.4, b_az, "signal:adjusted") for b_az in (effect, 0.0))
        lines.append(
            f"{patients} patients as in the paper, pi 0.4, image signal: power {share(found.rejects)}, type-I "
            f"error {share(none.rejects)}; such a study finds a coefficient of {found.detectable:.2f} with 80 % "
            f"power, and the one to be found is {fixed(found.target)}."
        )
    return lines

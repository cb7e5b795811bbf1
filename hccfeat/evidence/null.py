"""False discovery: outcomes permuted among patients before labels are selected and the stand-in is trained."""

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from hccfeat.evidence.null_page import page
from hccfeat.evidence.page import Evidence
from hccfeat.evidence.patients import Floats, Labels, Untreated, image_features, image_signal, permuted, untreated
from hccfeat.evidence.record import Part, Record, Row
from hccfeat.evidence.running import run_missing
from hccfeat.evidence.settings import Null, Settings, identity, load_settings, simulation
from hccfeat.evidence.stand_in import fit_scores, standardised
from hccfeat.evidence.studies import Options
from hccfeat.stats.cox import cox_univariable
from hccfeat.stats.discrimination import auroc, bootstrap_auroc
from hccfeat.stats.survival import logrank
from hccfeat.training.labels import denoised_subset

COLUMNS = (
    "auroc", "delong_lower", "delong_upper", "bootstrap_lower", "bootstrap_upper", "log_hr", "log_hr_error",
    "logrank_p", "n_1y", "events_1y", "leak_auroc", "leak_lower", "leak_upper",
)  # fmt: skip
"""Numbers of a replicate: AUROC with two intervals, log hazard ratio per SD of risk, and the AUROC of a leak."""
DECIMALS = 5


def run(options: Options) -> Evidence:
    """Run what is missing and put the page together."""
    settings = load_settings()
    record = Record(options.out / "null.json", "null")
    part = _replicates(record, settings, options.replicates or settings.null.replicates)
    return page(options.command, record, part, settings.null)


def _replicates(record: Record, settings: Settings, replicates: int) -> Part:
    study = settings.null
    facts = study.model_dump(mode="json", exclude={"replicates", "held_out_patients", "coverage"})
    part = record.part("permuted", identity(settings, **facts), ("held_out_patients", "seed", *COLUMNS), 2)
    todo = [(held_out, seed) for seed in range(1, replicates + 1) for held_out in study.held_out_patients]

    def work(held_out: int, seed: int) -> Row:
        numbers = replicate(study, held_out, seed)
        return [None if value is None else round(value, DECIMALS) for value in numbers]

    return run_missing(record, part, "Null", todo, work)


def replicate(study: Null, held_out: int, seed: int) -> list[Any]:
    """One cohort with permuted outcomes through the whole stand-in pipeline, in the order of :data:`COLUMNS`."""
    n = study.training_patients
    people, _ = untreated(n + held_out, seed, pi=study.pi, gamma=study.gamma, horizon=study.horizon_months)
    people = permuted(people, seed)
    carried = simulation(1, 0.0, 0.0).signal
    signals = image_signal(people.aggressiveness, carried, study.images_per_patient, seed)
    features = standardised(image_features(signals, carried, study.features, seed), n)
    risk = pipeline_risk(study, people, features, n, encoder_sees=n)
    leaked = pipeline_risk(study, people, features, n, encoder_sees=len(people))
    judged = people.take(slice(n, None))
    labelled = ~np.isnan(judged.early)
    y, held_out_risk = judged.early[labelled] == 1, risk[n:][labelled]
    delong = auroc(y, held_out_risk)
    resampled = bootstrap_auroc(y, held_out_risk, resamples=study.bootstraps, seed=seed)
    spread = float(risk[n:].std(ddof=1))
    hazard = cox_univariable(judged.recurrence_months, judged.recurrence_event, risk[n:] / spread)
    groups = logrank(judged.recurrence_months, judged.recurrence_event, risk[n:] > np.median(risk[:n]))
    leak = auroc(y, leaked[n:][labelled])
    return [
        delong.value, delong.lower, delong.upper, resampled.lower, resampled.upper, hazard.coefficient,
        hazard.standard_error, groups.p, len(y), int(y.sum()), leak.value, leak.lower, leak.upper,
    ]  # fmt: skip


def pipeline_risk(study: Null, people: Untreated, features: Floats, training: int, *, encoder_sees: int) -> Floats:
    """Risk of every patient: denoised labels, stand-in encoder, then a logistic model of the horizon's label.

    Parameters
    ----------
    study : Null
    people : Untreated
        Training patients first.
    features : float64 (n, features)
        Standardised.
    training : int
        Patients that train the second stage.
    encoder_sees : int
        Patients that select labels and train the encoder; more than ``training`` is a leak.
    """
    seen = people.take(slice(encoder_sees))
    names = [f"{number:06d}" for number in range(encoder_sees)]
    chosen = np.array(
        [int(name) for name in denoised_subset(names, seen.recurrence_event, seen.os_months, study.subset).ids]
    )
    labels = Labels(chosen, seen.recurrence_event[chosen].astype(np.int64))
    embedding = fit_scores(features, labels, slice(None), study.c)[:, None]
    followed = np.flatnonzero(~np.isnan(people.early[:training]))
    second = LogisticRegression().fit(embedding[followed], people.early[followed].astype(np.int64))
    return np.asarray(second.predict_proba(embedding)[:, 1])

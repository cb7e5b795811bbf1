"""The study's frozen split: made once, stored as a record, never changed by later data."""

from pathlib import Path

from hccfeat.cohort.splits import make_split
from hccfeat.config import StudyConfig
from hccfeat.files import sha256_of
from hccfeat.store.committer import Committer


def split_name(config: StudyConfig) -> str:
    """Name of the split that a study file asks for: other settings are another split."""
    facts = {"cohort": config.development_cohort, **config.split.model_dump(mode="json")}
    return f"{config.development_cohort}-{sha256_of(facts)[:8]}"


def frozen_split(study: Path, committer: Committer, config: StudyConfig) -> str:
    """Return the name of the frozen split, making it where it does not exist yet.

    Parameters
    ----------
    study : Path
        Study folder.
    committer : Committer
        An open committer.
    config : StudyConfig
        Names the development cohort and the settings of the split.

    Raises
    ------
    AnalysisError
        If the development cohort is too small or has one class.
    """
    del study
    name = split_name(config)
    if not committer.query("SELECT 1 FROM split WHERE split = ? LIMIT 1", [name]).is_empty():
        return name
    patients = committer.query(
        "SELECT p.patient_id, coalesce(p.treatment, 'none') AS treatment, o.event AS recurrence "
        "FROM patient AS p JOIN outcome AS o ON o.patient_id = p.patient_id AND o.outcome = 'recurrence' "
        "WHERE p.cohort = ? ORDER BY p.patient_id",
        [config.development_cohort],
    )
    rows = [{**row, "split": name} for row in make_split(patients, config.split)]
    committer.record("splits", name, {"split": rows}, about={"settings": config.split.model_dump(mode="json")})
    committer.publish()
    return name

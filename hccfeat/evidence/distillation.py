"""Whether a teacher with clinical items helps a student without them: a stand-in, and CMD-Net on volumes."""

from hccfeat.evidence.distillation_page import (
    LIMITS,
    MEASURE,
    QUESTIONS,
    exploratory_part,
    sensitivity_part,
    tabular_part,
)
from hccfeat.evidence.distillation_tabular import EXPLORATORY, run_sensitivity, run_tabular
from hccfeat.evidence.distillation_volumes import run_volumes
from hccfeat.evidence.distillation_volumes_page import volumes_part
from hccfeat.evidence.page import Evidence, Section
from hccfeat.evidence.record import Record
from hccfeat.evidence.settings import load_settings
from hccfeat.evidence.studies import Options


def run(options: Options) -> Evidence:
    """Run what is missing and put the page together."""
    settings = load_settings()
    study = settings.distillation
    record = Record(options.out / "distillation.json", "distillation")
    replicates = options.replicates or study.tabular.replicates
    main = run_tabular(record, settings, replicates)
    changed = run_sensitivity(record, settings, replicates)
    later = run_tabular(record, settings, replicates, "exploratory", EXPLORATORY)
    volumes = run_volumes(record, settings, study.volumes.seeds[: options.replicates] if options.images else ())
    tabular, found = tabular_part(main, study.tabular)
    rendered, seen = volumes_part(volumes, study.volumes)
    return Evidence(
        study="distillation",
        title="does a teacher with clinical items help a student without them?",
        command=options.command,
        summary=[*found, *seen],
        sections=[
            Section("The question", [QUESTIONS[0].format(measure=MEASURE), *QUESTIONS[1:]]),
            tabular,
            sensitivity_part(changed, study.tabular),
            exploratory_part(later, study.tabular),
            rendered,
            Section("What this means, and what it does not", LIMITS),
        ],
        record=record,
    )

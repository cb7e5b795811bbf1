"""Whether denoised recurrence labels help: hundreds of cohorts with a tabular stand-in, a few through images."""

from hccfeat.evidence.denoising_images import run_images
from hccfeat.evidence.denoising_page import (
    DEFAULT,
    QUESTIONS,
    exploratory_part,
    image_part,
    sensitivity_part,
    tabular_part,
)
from hccfeat.evidence.denoising_tabular import run_exploratory, run_grid, run_sensitivity
from hccfeat.evidence.page import Evidence, Section
from hccfeat.evidence.record import Record
from hccfeat.evidence.settings import load_settings
from hccfeat.evidence.studies import Options


def run(options: Options) -> Evidence:
    """Run what is missing and put the page together."""
    settings = load_settings()
    study = settings.denoising
    record = Record(options.out / "denoising.json", "denoising")
    replicates = options.replicates or study.tabular.replicates
    grid = run_grid(record, settings, replicates)
    changed = run_sensitivity(record, settings, replicates, DEFAULT["pi"], DEFAULT["gamma"])
    later = run_exploratory(record, settings, options.replicates or study.exploratory.replicates)
    images = run_images(record, settings, study.images.seeds[: options.replicates] if options.images else ())
    tabular, found = tabular_part(grid, study)
    through_images, seen = image_part(images, study)
    return Evidence(
        study="denoising",
        title="do denoised recurrence labels help?",
        command=options.command,
        summary=[*found, *seen],
        sections=[
            Section("The question", QUESTIONS),
            tabular,
            sensitivity_part(changed, study),
            exploratory_part(later, study),
            through_images,
        ],
        record=record,
    )

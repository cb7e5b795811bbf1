"""A new study: its commented study file and an empty store."""

import re
from pathlib import Path

from hccfeat.config import NAME_PATTERN, STUDY_FILE, load_mri_recipe, load_recipe
from hccfeat.errors import InputError
from hccfeat.files import write_text_atomically
from hccfeat.store.committer import Committer

_STUDY_FILE = """\
# The study file of hccfeat; docs/study-file.md explains every key.
name = "{name}"
title = "{name}"
development_cohort = "{cohort}"   # the cohort that trains; others only judge
recipe = "{recipe}"               # slides: paper, released-code, demo, tiny, or one of data_catalog/feature_sets/
mri_recipe = "{mri_recipe}"       # MRI exams: mri-paper, mri-reduced, mri-tiny, or one of the same folder

[split]
test_fraction = 0.2               # of patients, stratified on treatment and recurrence
folds = 5
seed = 2023

[analysis]
bootstraps = 1000
seed = 2023
threshold = 0.5
"""


def create_study(
    folder: Path,
    name: str | None = None,
    recipe: str = "paper",
    mri_recipe: str = "mri-paper",
    cohort: str = "internal",
) -> Path:
    """Write the study file and an empty store; see :func:`hccfeat.study.init_study` for the parameters.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        If the folder is a study already, or a name is no slug.
    ConfigError
        If a recipe does not exist.
    """
    if (folder / STUDY_FILE).exists():
        raise InputError(str(folder), "is a study already", f"Edit its {STUDY_FILE}, or choose another folder.")
    load_recipe(recipe, folder)
    load_mri_recipe(mri_recipe, folder)
    chosen = name or re.sub(r"[^a-z0-9_-]+", "-", folder.name.lower()).strip("-_")
    if not NAME_PATTERN.fullmatch(chosen):
        raise InputError(
            f"study name {chosen!r}", "is no name", "Give --name: lower-case letters, digits, - and _."
        )
    if not NAME_PATTERN.fullmatch(cohort):
        raise InputError(f"--cohort {cohort}", "is no name", "Use lower-case letters, digits, - and _.")
    text = _STUDY_FILE.format(name=chosen, recipe=recipe, mri_recipe=mri_recipe, cohort=cohort)
    write_text_atomically(folder / STUDY_FILE, text)
    with Committer(folder):
        pass  # an empty store: the catalog with all tables and views
    return folder

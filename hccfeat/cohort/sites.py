"""The site of each patient, usually a hospital, so that whole sites are dealt to folds."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from hccfeat.errors import AnalysisError

SITE = "site"
"""Clinical variable that names it."""
BARCODE = re.compile(r"TCGA-([A-Z0-9]{2})-")
"""TCGA's barcodes name the tissue source site second."""


def recorded_sites(ask: Callable[[str, list[Any]], pl.DataFrame], cohort: str) -> dict[str, str]:
    """Return the site by patient id, of the patients of a cohort whose clinical table names one.

    Parameters
    ----------
    ask : callable
        Runs a SELECT with parameters: the catalog's, or a committer's.
    cohort : str
        Name of the cohort.
    """
    if SITE not in ask("SELECT * FROM clinical LIMIT 0", []).columns:
        return {}
    found = ask(
        f"SELECT patient_id, c.{SITE} FROM patient JOIN clinical AS c USING (patient_id) "
        f"WHERE cohort = ? AND c.{SITE} IS NOT NULL ORDER BY patient_id",
        [cohort],
    )
    return dict(found.iter_rows())


def sites_of(cohort: str, patients: Sequence[str], recorded: Mapping[str, str]) -> list[str]:
    """Return the site of each patient: as the clinical table names it, else TCGA's tissue source site.

    The two are never mixed in a cohort, because one hospital would then have two names.

    Parameters
    ----------
    cohort : str
        Name of the cohort.
    patients : sequence of str (n,)
        Patient ids.
    recorded : mapping
        From :func:`recorded_sites`; empty where the clinical table names no site of anybody.

    Raises
    ------
    AnalysisError
        If the site of a patient is not known.
    """
    if recorded:
        found = [recorded.get(patient) for patient in patients]
    else:
        barcodes = [BARCODE.search(patient) for patient in patients]
        found = [None if match is None else match[1] for match in barcodes]
    if lost := found.count(None):
        raise AnalysisError(
            f"cohort {cohort}",
            f"names no site of {lost} of {len(found)} patients, but the study file deals folds by site",
            f"Add a column {SITE!r} to its clinical table and ingest it again, or set "
            'folds_by = "patient" in [analysis] of hccfeat.toml.',
        )
    return [site for site in found if site is not None]

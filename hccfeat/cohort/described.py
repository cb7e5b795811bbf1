"""The description that an ingested cohort was read with."""

from pathlib import Path
from typing import get_args

from hccfeat.cohort.descriptions import CohortDescription, TableFormat
from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.store.catalog import query


def ingested_description(study: Path, cohort: str) -> CohortDescription:
    """Description of a cohort of the catalog, chosen by its name and the format it was ingested in.

    Parameters
    ----------
    study : Path
        Study folder.
    cohort : str
        Name of an ingested cohort.
    """
    stored = query(study, "SELECT format FROM cohort WHERE cohort = ?", [cohort])["format"].to_list()
    found: TableFormat | None = next((name for name in get_args(TableFormat) if stored == [name]), None)
    return load_dictionary(study).cohort(cohort, found)

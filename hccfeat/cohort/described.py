"""The description that an ingested cohort was read with."""

from pathlib import Path
from typing import get_args

from hccfeat.cohort.descriptions import CohortDescription, TableFormat, Variable
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


def recorded_variables(study: Path, cohort: str) -> dict[str, Variable]:
    """Variables of the dictionary as an ingested cohort records them: its units, groups and possible values.

    Parameters
    ----------
    study : Path
        Study folder.
    cohort : str
        Name of an ingested cohort.

    Returns
    -------
    dict
        Variable name -> variable, in the dictionary's order.
    """
    columns = ingested_description(study, cohort).columns
    variables = load_dictionary(study).variables
    return {name: columns[name].applied_to(own) if name in columns else own for name, own in variables.items()}

"""Small clinical tables for the tests."""

from pathlib import Path

from hccfeat.cohort.descriptions import CohortDescription
from hccfeat.cohort.dictionary import load_dictionary
from hccfeat.cohort.ingest import ClinicalTable, validate
from hccfeat.cohort.readers import read_table

HEADER = (
    "patient_id,age,sex,hbsag,alt,afp,tumour_size,bclc,vascular_invasion,treatment,"
    "recurrence_months,recurrence_event,os_months,os_event,simulated"
)
GOOD = [
    "P1,60,male,1,35,400.5,4.2,A,0,none,10,1,20,1,1",
    "P2,51,female,0,80,12,7,C,1,sorafenib,30,0,30,0,1",
    "P3,44,male,1,,,3,0,0,,50,0,50,0,1",
]


def write_table(path: Path, *rows: str, header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def ingest(path: Path, description: CohortDescription | None = None, cohort: str = "internal") -> ClinicalTable:
    dictionary = load_dictionary()
    chosen = description or dictionary.cohort(cohort)
    return validate(read_table(path, chosen.format, chosen), chosen, dictionary, cohort)

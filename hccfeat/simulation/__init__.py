"""Cohorts with known truth, written as a hospital would deliver them."""

from hccfeat.simulation.cohort import Cohort, simulate_patients
from hccfeat.simulation.deliver import CohortFiles, Delivery, simulate
from hccfeat.simulation.parameters import Parameters, load_parameters, preset_names

__all__ = [
    "Cohort",
    "CohortFiles",
    "Delivery",
    "Parameters",
    "load_parameters",
    "preset_names",
    "simulate",
    "simulate_patients",
]

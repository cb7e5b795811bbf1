"""Simulated MRI exams with 52 clinical items and a grade of microvascular invasion (P2)."""

from hccfeat.simulation.mri.items import Items, clinical_items, draw_items, item_matrix
from hccfeat.simulation.mri.latents import Latents, draw_latents
from hccfeat.simulation.mri.oracle import ceilings, population_ceilings
from hccfeat.simulation.mri.parameters import MriParameters, item_names, load_mri_parameters
from hccfeat.simulation.mri.rendering import RenderedExam, RenderedPhase, render_exam

__all__ = [
    "Items",
    "Latents",
    "MriParameters",
    "RenderedExam",
    "RenderedPhase",
    "ceilings",
    "clinical_items",
    "draw_items",
    "draw_latents",
    "item_matrix",
    "item_names",
    "load_mri_parameters",
    "population_ceilings",
    "render_exam",
]

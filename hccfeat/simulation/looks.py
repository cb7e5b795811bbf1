"""What one image will show: its noisy signal of A, the features that follow it, and everything independent of A."""

from dataclasses import dataclass

import numpy as np

from hccfeat.simulation.parameters import Parameters
from hccfeat.simulation.staining import Stain, draw_stain

DEFECTS = ("pen", "fold", "blurred_area", "out_of_focus", "lost_tissue")


@dataclass(frozen=True)
class Look:
    """Drawn properties of one image.

    ``signal`` is A + patient noise + image noise; the four features follow it (sizes in micrometres, densities per
    square millimetre of tissue); the rest is drawn without regard to A.
    """

    signal: float
    nuclear_radius_um: float
    pleomorphism: float
    nuclei_per_mm2: float
    lymphocytes_per_mm2: float
    patch_log_radius_sd: float
    stroma_share: float
    steatosis_share: float
    sinusoid_width: float
    portal: bool
    glass: bool
    pen: bool
    fold: bool
    blurred_area: bool
    out_of_focus: bool
    lost_tissue: bool
    stain: Stain

    @property
    def defects(self) -> tuple[str, ...]:
        """Names of the faults of this image."""
        return tuple(name for name in DEFECTS if getattr(self, name))


def draw_look(parameters: Parameters, cohort: str, patient_signal: float, rng: np.random.Generator) -> Look:
    """Draw the look of one image.

    Parameters
    ----------
    patient_signal : float
        A + patient noise.
    rng : numpy.random.Generator
        The image's own, so that images can be rendered in any order.
    """
    model, tissue, rates = parameters.signal, parameters.tissue, parameters.defects
    signal = patient_signal + model.image_noise * rng.standard_normal()
    seen = np.clip(signal + model.feature_noise * rng.standard_normal(4), -model.signal_limit, model.signal_limit)
    steatotic = rng.random() < tissue.steatosis_rate
    share = rng.uniform(*tissue.steatosis_share)
    return Look(
        signal=float(signal),
        nuclear_radius_um=float(model.nuclear_radius_um * np.exp(model.radius_per_signal * seen[0])),
        pleomorphism=float(model.pleomorphism * np.exp(model.pleomorphism_per_signal * seen[1])),
        nuclei_per_mm2=float(model.nuclei_per_mm2 * np.exp(model.density_per_signal * seen[2])),
        lymphocytes_per_mm2=float(model.lymphocytes_per_mm2 * np.exp(model.lymphocytes_per_signal * seen[3])),
        patch_log_radius_sd=abs(model.radius_per_signal) * model.patch_noise,
        stroma_share=float(rng.uniform(*tissue.stroma_share)),
        steatosis_share=float(share if steatotic else 0.0),
        sinusoid_width=float(rng.uniform(*tissue.sinusoid_width)),
        portal=bool(rng.random() < tissue.portal_rate),
        glass=bool(rng.random() < tissue.glass_rate),
        stain=draw_stain(parameters.scanners[cohort], rng),
        **{name: bool(rng.random() < getattr(rates, name)) for name in DEFECTS},
    )

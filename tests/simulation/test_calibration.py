import pytest

from hccfeat.simulation.calibration import calibrate
from hccfeat.simulation.parameters import ASSIGNMENT_INDICATORS, load_parameters


def test_the_coefficients_on_file_are_the_calibrated_ones() -> None:
    parameters = load_parameters("tiny")
    cuts, treatment = calibrate(parameters)
    assert set(cuts) == set(parameters.indicators)
    for name, indicator in parameters.indicators.items():
        assert indicator.cut == pytest.approx(cuts[name], abs=2e-6), name
        assert indicator.assignment == (name in ASSIGNMENT_INDICATORS)
    assert parameters.treatment.intercept == pytest.approx(treatment.intercept, abs=2e-6)
    assert parameters.treatment.coefficients() == pytest.approx(treatment.coefficients(), abs=2e-6)


def test_calibration_follows_the_shares() -> None:
    parameters = load_parameters("tiny")
    changed = parameters.indicators["afp"].model_copy(update={"positive": (0.63, 0.63)})
    _, treatment = calibrate(parameters.model_copy(update={"indicators": parameters.indicators | {"afp": changed}}))
    assert treatment.afp < 0 < treatment.vascular_invasion  # AFP no longer rises with the treated's higher A

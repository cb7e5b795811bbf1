import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hccfeat.analysis.modality_models import UNION, ModalityInput, component_count, fit_modalities
from hccfeat.errors import AnalysisError


def source(name, matrix, seen=()):
    vectors = {f"P{k:03d}": row for k, row in enumerate(matrix)}
    return ModalityInput(name, name, "", vectors, frozenset(seen))


def two_halves(n=400, seed=1, scale=1.0):
    """Two modalities that each know one half of the truth; ``scale`` changes the units of the second."""
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(n, 2))
    y = (latent.sum(axis=1) + 0.3 * rng.normal(size=n) > 0).astype(float)
    matrices = [latent[:, [k]] * rng.normal(size=6) + 0.5 * rng.normal(size=(n, 6)) for k in range(2)]
    return [source("one", matrices[0]), source("two", scale * matrices[1])], y


@pytest.mark.parametrize(("n", "width", "count"), [(500, 128, 16), (60, 128, 6), (500, 3, 3), (5, 128, 1)])
def test_components_follow_patients_and_width(n, width, count):
    assert component_count(n, width) == count


def test_together_knows_what_both_know():
    inputs, y = two_halves()
    ids = sorted(inputs[0].vectors)
    models = fit_modalities(inputs, ids[:200], y[:200])
    assert (models.trained, models.events) == (200, int(y[:200].sum()))
    assert models.components == {"one_components": 6, "two_components": 6, UNION: 12}
    area = {name: roc_auc_score(y[200:], risk) for name, risk in models.risks(ids[200:]).items()}
    assert list(area) == ["one_components", "two_components", UNION]
    assert area[UNION] > 0.93
    assert 0.65 < area["one_components"] < 0.9
    assert 0.65 < area["two_components"] < 0.9


def test_units_do_not_matter():
    ids = sorted(two_halves()[0][0].vectors)
    risks = []
    for scale in (1.0, 1e4):
        inputs, y = two_halves(scale=scale)
        risks.append(fit_modalities(inputs, ids[:100], y[:100]).risks(ids[100:])[UNION])
    np.testing.assert_allclose(risks[0], risks[1], rtol=1e-6)


def test_judges_change_nothing_about_the_models():
    inputs, y = two_halves(n=120)
    ids = sorted(inputs[0].vectors)
    whole = fit_modalities(inputs, ids[:60], y[:60]).risks(ids[60:])
    shifted = [
        ModalityInput(one.name, "", "", {i: v + (50.0 if i >= ids[61] else 0.0) for i, v in one.vectors.items()})
        for one in inputs
    ]
    again = fit_modalities(shifted, ids[:60], y[:60]).risks(ids[60:61])
    for name, risk in again.items():
        assert risk[0] == pytest.approx(whole[name][0], rel=1e-9)


def test_missing_values_become_training_medians():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(60, 4))
    y = (matrix[:, 0] > 0).astype(float)
    matrix[rng.random((60, 4)) < 0.2] = np.nan
    matrix[:, 3], matrix[0, 2] = np.nan, 0.0
    inputs = [source("holes", matrix), source("other", rng.normal(size=(60, 2)))]
    ids = sorted(inputs[0].vectors)
    found = fit_modalities(inputs, ids[:40], y[:40]).risks(ids[40:])
    assert all(np.isfinite(risk).all() for risk in found.values())
    gone = dict(inputs[0].vectors) | {ids[40]: np.full(4, np.nan)}
    middle = [*np.nanmedian(matrix[:40, :3], axis=0), 0.0]
    medians = dict(inputs[0].vectors) | {ids[40]: np.array(middle)}
    risks = [
        fit_modalities([ModalityInput("holes", "", "", vectors), inputs[1]], ids[:40], y[:40]).risks([ids[40]])
        for vectors in (gone, medians)
    ]
    assert risks[0]["holes_components"] == pytest.approx(risks[1]["holes_components"])


def test_nobody_has_no_risks():
    inputs, y = two_halves(n=60)
    found = fit_modalities(inputs, sorted(inputs[0].vectors)[:40], y[:40]).risks([])
    assert {name: risk.shape for name, risk in found.items()} == dict.fromkeys(found, (0,))


@pytest.mark.parametrize("value", [1.0, np.nan])
def test_a_modality_that_does_not_vary_is_refused(value):
    inputs, y = two_halves(n=40)
    inputs[1] = source("flat", np.full((40, 2), value))
    with pytest.raises(AnalysisError, match="modality flat: says the same about all 40"):
        fit_modalities(inputs, sorted(inputs[0].vectors), y)

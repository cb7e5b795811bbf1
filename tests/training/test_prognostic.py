"""The prognostic net of stage 2."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from hccfeat.config import PrognosticRecipe
from hccfeat.errors import AnalysisError, StoreError
from hccfeat.models.prognostic import PrognosticNet
from hccfeat.models.weights import save_weights
from hccfeat.training.prognostic import PrognosticModel, fit_prognostic, patient_risk


def images(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """PPS as small as the real ones: SD 1e-4 on a mean of 0.024, some dead dimensions."""
    random = np.random.default_rng(seed)
    y = np.arange(count) % 2
    x = 0.024 + 1e-4 * random.standard_normal((count, 128))
    x[:, :8] += 1e-4 * y[:, None]
    x[:, 100:] = 0
    return x.astype(np.float32), y


@pytest.mark.parametrize("variant", ["released", "paper"])
@pytest.mark.parametrize("double_softmax", [False, True])
def test_it_learns_from_tiny_differences(variant: str, double_softmax: bool) -> None:
    recipe = PrognosticRecipe.model_validate({"variant": variant, "double_softmax": double_softmax})
    model = fit_prognostic(*images(300), recipe)
    x, y = images(200, seed=1)
    risk = model.predict(x)
    assert (risk.shape, risk.dtype) == ((200,), np.float64)
    assert ((risk > 0) & (risk < 1)).all()
    assert roc_auc_score(y, risk) > 0.8
    assert len(model.losses) == 50
    assert min(model.losses) < model.losses[0]


def test_logits_loss_can_fall_below_the_floor_of_the_double_softmax() -> None:
    x, y = images(64)
    x[:, :8] += 1e-3 * y[:, None]
    plain = fit_prognostic(x, y, PrognosticRecipe(batch_size=16))
    doubled = fit_prognostic(x, y, PrognosticRecipe(batch_size=16, double_softmax=True))
    assert min(plain.losses) < 0.3133 < min(doubled.losses)


def test_equal_input_gives_equal_bytes_and_other_random_state_is_left_alone(tmp_path: Path) -> None:
    x, y = images(60)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    digests = [fit_prognostic(x, y, PrognosticRecipe(max_epochs=3)).save(tmp_path / name) for name in "ab"]
    assert digests[0] == digests[1]
    assert torch.equal(torch.rand(3), expected)
    other = fit_prognostic(x, y, PrognosticRecipe(max_epochs=3, seed=1)).save(tmp_path / "c")
    assert other != digests[0]


def test_round_trip(tmp_path: Path) -> None:
    x, y = images(40)
    model = fit_prognostic(x, y, PrognosticRecipe(variant="paper", max_epochs=3))
    model.save(tmp_path / "model.safetensors", {"endpoint": "1y"})
    loaded = PrognosticModel.load(tmp_path / "model.safetensors")
    assert np.array_equal(loaded.predict(x), model.predict(x))
    assert (loaded.recipe, loaded.losses) == (model.recipe, model.losses)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "other.safetensors", PrognosticNet(), {"kind": "encoder"})
    with pytest.raises(StoreError, match="is not a prognostic model"):
        PrognosticModel.load(tmp_path / "other.safetensors")


@pytest.mark.parametrize("count", [2, 3, 17, 33])
def test_a_lone_row_in_the_last_batch_is_no_problem(count: int) -> None:
    model = fit_prognostic(*images(count), PrognosticRecipe(batch_size=16, max_epochs=2))
    assert np.isfinite(model.losses).all()


def test_standardisation_is_that_of_the_training_rows() -> None:
    x, y = images(50)
    model = fit_prognostic(x, y, PrognosticRecipe(max_epochs=1))
    np.testing.assert_allclose(model.mean, x.astype(float).mean(axis=0))
    np.testing.assert_allclose(model.sd[:100], x[:, :100].astype(float).std(axis=0))
    assert (model.sd[100:] == 1).all()


def test_bad_input_is_refused() -> None:
    x, y = images(10)
    with pytest.raises(AnalysisError, match="of one class"):
        fit_prognostic(x, np.zeros(10, dtype=int), PrognosticRecipe())
    with pytest.raises(AnalysisError, match="too few labels"):
        fit_prognostic(x, y[:5], PrognosticRecipe())
    x[0, 0] = np.nan
    with pytest.raises(AnalysisError, match="with gaps"):
        fit_prognostic(x, y, PrognosticRecipe())


def test_patient_risk_is_the_mean_over_images() -> None:
    assert patient_risk(["p", "p", "q"], [0.1, 0.3, 0.9]) == {"p": pytest.approx(0.2), "q": 0.9}

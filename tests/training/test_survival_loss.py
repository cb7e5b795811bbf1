"""Cox's partial likelihood as the loss of an encoder's training."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from lifelines import CoxPHFitter

from hccfeat.errors import InputError
from hccfeat.training.data import PatchBatches, TrainingImage, check_images, fingerprint
from hccfeat.training.loop import partial_likelihood, recurrence_loss

RNG = np.random.default_rng(2)


def _image(number: int, label: int, months: float | None) -> TrainingImage:
    patches = RNG.integers(0, 255, (2, 32, 32, 3), dtype=np.uint8)
    return TrainingImage(f"i{number}", f"p{number}", label, patches, months)


def test_it_is_least_where_a_cox_regression_has_its_estimate() -> None:
    x = RNG.normal(size=80)
    months, event = RNG.exponential(np.exp(-x)), RNG.random(80) < 0.7
    fitted = CoxPHFitter().fit(pd.DataFrame({"x": x, "t": months, "e": event}), "t", "e")
    slope = torch.tensor(float(fitted.params_["x"]), dtype=torch.float64, requires_grad=True)
    loss = partial_likelihood(
        slope * torch.tensor(x), torch.tensor(months), torch.tensor(event, dtype=torch.float64)
    )
    loss.backward()
    assert loss.item() * event.sum() == pytest.approx(-fitted.log_likelihood_)
    assert slope.grad is not None
    assert abs(slope.grad.item()) < 1e-4


def test_tied_times_are_all_at_risk() -> None:
    months, event = torch.tensor([3.0, 3.0, 1.0]), torch.tensor([1.0, 0.0, 0.0])
    assert partial_likelihood(torch.zeros(3), months, event).item() == pytest.approx(np.log(2))


def test_a_batch_without_events_teaches_nothing() -> None:
    risk = torch.zeros(4, requires_grad=True)
    loss = partial_likelihood(risk, torch.arange(4.0), torch.zeros(4))
    loss.backward()
    assert loss.item() == 0
    assert risk.grad is not None
    assert risk.grad.abs().max() == 0


def test_survival_times_choose_the_loss() -> None:
    batches = PatchBatches([_image(0, 1, 5.5), _image(1, 0, 30.0)])
    _, labels = batches[[0, 2]]
    torch.testing.assert_close(labels, torch.tensor([[1.0, 5.5], [0.0, 30.0]]))
    logits = torch.tensor([[0.2, 0.9], [0.4, 0.1]])
    expected = partial_likelihood(logits[:, 1] - logits[:, 0], labels[:, 1], labels[:, 0])
    assert recurrence_loss(logits, labels, double_softmax=False) == expected
    _, classes = PatchBatches([_image(0, 1, None)])[[0, 1]]
    assert classes.dtype == torch.int64


def test_some_survival_times_are_an_error_and_they_decide_the_identity() -> None:
    images = [_image(0, 1, 5.0), _image(1, 0, None)]
    with pytest.raises(InputError, match="some images only"):
        check_images(images, size_px=32)
    timed = [replace(image, months=4.0) for image in images]
    assert fingerprint(timed) != fingerprint([replace(image, months=None) for image in images])
    assert fingerprint(timed) != fingerprint([replace(image, months=4.5) for image in images])

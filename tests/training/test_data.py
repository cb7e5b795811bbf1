"""Batches, held-out patients and the identity of training images."""

import numpy as np
import pytest

from hccfeat.errors import AnalysisError, ConfigError, InputError
from hccfeat.training.data import (
    OrderedBatches,
    PatchBatches,
    ShuffledBatches,
    TrainingImage,
    check_images,
    fingerprint,
    hold_out,
)
from hccfeat.training.seeds import derived_seed


def image(name: str, label: int = 0, count: int = 2, patient: str | None = None, size: int = 32) -> TrainingImage:
    pixels = np.random.default_rng(abs(derived_seed(name))).integers(0, 255, (count, size, size, 3), np.uint8)
    return TrainingImage(name, patient or name, label, pixels)


def test_batches_hold_the_patches_and_labels_asked_for() -> None:
    images = [image("a", 0, 3), image("b", 1, 2)]
    patches, labels = PatchBatches(images)[[4, 0]]
    assert labels.tolist() == [1, 0]
    assert np.array_equal(patches[0].numpy(), images[1].patches[1])
    assert np.array_equal(patches[1].numpy(), images[0].patches[0])


def test_order_depends_on_seed_and_epoch_only() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        sampler = ShuffledBatches(10, 4, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(1, 3) == order(1, 3)
    assert order(1, 3) != order(1, 4)
    assert order(1, 3) != order(2, 3)
    assert [len(batch) for batch in order(1, 0)] == [4, 4]


def test_devices_share_each_batch_without_overlap() -> None:
    whole = list(ShuffledBatches(16, 8, 0))
    shares = [list(ShuffledBatches(16, 8, 0, rank=rank, devices=2)) for rank in (0, 1)]
    for number, batch in enumerate(whole):
        assert sorted(shares[0][number] + shares[1][number]) == sorted(batch)
    shares = [list(OrderedBatches(7, 2, rank=rank, devices=2)) for rank in (0, 1)]
    assert sorted(shares[0] + shares[1]) == [[0, 1], [2, 3], [4, 5], [6]]


def test_images_are_sorted_and_empty_ones_dropped() -> None:
    kept = check_images([image("b", 1), image("c", 0, 0), image("a", 0)], size_px=32)
    assert [one.image_id for one in kept] == ["a", "b"]


def test_inconsistent_images_are_refused() -> None:
    with pytest.raises(InputError, match="image a: is given twice"):
        check_images([image("a", 0), image("a", 0), image("b", 1)], size_px=32)
    with pytest.raises(InputError, match=r"not uint8 \(64, 64, 3\)"):
        check_images([image("a", 0), image("b", 1)], size_px=64)
    with pytest.raises(InputError, match="One label per patient"):
        check_images([image("a", 0, patient="p"), image("b", 1, patient="p")], size_px=32)
    with pytest.raises(InputError, match="has label 2"):
        check_images([image("a", 0), image("b", 2)], size_px=32)
    with pytest.raises(AnalysisError, match="fewer than two classes"):
        check_images([image("a", 0), image("b", 0)], size_px=32)


def test_hold_out_draws_whole_patients_of_both_classes() -> None:
    images = [
        image(f"{label}-{n}-{k}", label, patient=f"{label}-{n}")
        for label in (0, 1)
        for n in range(10)
        for k in (0, 1)
    ]
    chosen = hold_out(images, fraction=0.2, seed=5)
    assert chosen == hold_out(images[::-1], fraction=0.2, seed=5)
    assert sorted(patient[0] for patient in chosen) == ["0", "0", "1", "1"]
    assert chosen != hold_out(images, fraction=0.2, seed=6)
    with pytest.raises(ConfigError, match="class 1 has 1 patients"):
        hold_out([image("a", 0), image("b", 0), image("c", 1)], fraction=0.1, seed=5)


def test_fingerprint_follows_names_labels_and_pixels() -> None:
    one = image("a", 0)
    changed = one.patches.copy()
    changed[1, 5, 5, 2] ^= 1
    others = [image("b", 0), TrainingImage("a", "a", 1, one.patches), TrainingImage("a", "a", 0, changed)]
    assert fingerprint([one]) == fingerprint([TrainingImage("a", "a", 0, one.patches.copy())])
    assert len({fingerprint([other]) for other in [one, *others]}) == 4

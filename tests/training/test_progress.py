"""The bar of a training counts finished batches."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hccfeat.training import callbacks
from hccfeat.training.encoder import train_encoder
from tests.training.toy import flips, toy_images, toy_recipe


class Bar:
    def __init__(self) -> None:
        self.totals: list[int] = []
        self.steps: list[int] = []
        self.notes: list[str] = []
        self.open = 0

    @contextmanager
    def __call__(self, title: str, total: int) -> Iterator["Bar"]:
        self.totals.append(total)
        self.open += 1
        yield self
        self.open -= 1

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        self.steps.append(steps)
        self.notes.append(note)


@pytest.fixture
def bar(monkeypatch: pytest.MonkeyPatch) -> Bar:
    bar = Bar()

    @contextmanager
    def progress_bar(title: str, total: int) -> Iterator[object]:
        with bar(title, total):
            yield bar.advance

    monkeypatch.setattr(callbacks, "progress_bar", progress_bar)
    return bar


def test_each_batch_is_a_step_and_the_bar_is_closed(bar: Bar, tmp_path: Path) -> None:
    train_encoder(toy_images(), toy_recipe(), augment=None, work=tmp_path, device="cpu", threads=1)
    assert (bar.totals, sum(bar.steps), bar.open) == ([9], 9, 0)
    assert bar.notes[-1].startswith("epoch 3 of at most 3, loss 0.")


def test_a_resumed_training_starts_where_it_was(bar: Bar, tmp_path: Path) -> None:
    calls = iter(range(100))

    def interrupted(images: object, generator: object) -> object:
        if next(calls) == 4:
            raise KeyboardInterrupt
        return flips(images, generator)  # type: ignore[arg-type]

    settings = {"augment": interrupted, "work": tmp_path, "device": "cpu", "threads": 1}
    with pytest.raises(KeyboardInterrupt):
        train_encoder(toy_images(), toy_recipe(), **settings)
    assert (sum(bar.steps), bar.open) == (4, 0)
    bar.steps.clear()
    train_encoder(toy_images(), toy_recipe(), **settings)
    assert (bar.totals, bar.steps[0], sum(bar.steps)) == ([9, 9], 3, 9)

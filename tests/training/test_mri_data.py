"""Batches, permuted items and the identity of MRI exams."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hccfeat.errors import AnalysisError, FailureKind, InputError, VolumeError
from hccfeat.training.mri_data import (
    Exam,
    ExamBatches,
    batch_order,
    check_exams,
    fingerprint,
    item_rows,
    with_items_of_others,
)
from tests.training.mri_toy import ITEMS, SHAPE, toy_exams


def test_batches_hold_the_exams_asked_for(tmp_path: Path) -> None:
    in_memory, in_files = toy_exams(4), toy_exams(4, folder=tmp_path)
    for exams in (in_memory, in_files):
        batch = ExamBatches(exams, items=True)[[3, 0]]
        assert batch.volumes.shape == (2, 2, *SHAPE)
        assert batch.volumes.dtype == torch.float32
        assert batch.labels.tolist() == [0, 0]
        assert np.array_equal(batch.volumes[0, 1].numpy(), in_memory[3].volumes[1])
        assert batch.items is not None
        assert np.array_equal(batch.items[1].numpy(), in_memory[0].clinical.astype(np.float32), equal_nan=True)
        assert ExamBatches(exams, items=False)[[1]].items is None


def test_only_the_volumes_of_the_batch_are_read(tmp_path: Path) -> None:
    exams = toy_exams(4, folder=tmp_path)
    batches = ExamBatches(exams, items=False, shape=SHAPE)
    for name in ("0-0.npy", "0-1.npy", "1-0.npy", "1-1.npy"):
        (tmp_path / name).unlink()
    assert batches[[3, 2]].labels.tolist() == [0, 2]
    with pytest.raises(VolumeError, match=r"exam toy/e001: prepared volume 1-0\.npy cannot be read"):
        batches[[2, 1]]


def test_a_batch_is_a_copy(tmp_path: Path) -> None:
    exams = toy_exams(2, folder=tmp_path)
    batches = ExamBatches(exams, items=False)
    batches[[0]].volumes.fill_(7)
    assert float(batches[[0]].volumes.amax()) < 7


def test_an_exam_without_a_grade_is_judged() -> None:
    exam = replace(toy_exams(1)[0], label=None, clinical=None)
    assert ExamBatches([exam], items=False)[[0]].labels.tolist() == [-1]


@pytest.mark.parametrize("shapes", [[(4, 8, 8), (4, 8, 9)], [(4, 8, 8)], [(4, 8, 8)] * 3])
def test_volumes_of_another_shape_are_refused(shapes: list[tuple[int, ...]]) -> None:
    exam = replace(toy_exams(1)[0], volumes=tuple(np.zeros(shape, np.float32) for shape in shapes))
    with pytest.raises(VolumeError, match="exam toy/e000: has prepared volumes of shape") as caught:
        ExamBatches([exam], items=False, shape=SHAPE)[[0]]
    assert caught.value.kind == FailureKind.INCONSISTENT


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    exam = toy_exams(1, folder=tmp_path)[0]
    (tmp_path / "0-1.npy").write_bytes(content)
    with pytest.raises(VolumeError, match=r"exam toy/e000: prepared volume 0-1\.npy cannot be read") as caught:
        ExamBatches([exam], items=False)[[0]]
    assert caught.value.kind == FailureKind.UNREADABLE


def test_objects_in_a_file_are_not_unpickled(tmp_path: Path) -> None:
    exam = toy_exams(1, folder=tmp_path)[0]
    np.save(tmp_path / "0-0.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(VolumeError, match="cannot be read"):
        ExamBatches([exam], items=False)[[0]]


@settings(max_examples=60, deadline=None)
@given(count=st.integers(2, 40), size=st.integers(2, 9), epoch=st.integers(0, 5))
def test_an_epoch_has_every_exam_once_but_for_a_lone_last_one(count: int, size: int, epoch: int) -> None:
    batches = batch_order(count, size, 7, epoch)
    seen = [index for batch in batches for index in batch]
    assert len(seen) == len(set(seen)) == count - (count % size == 1)
    assert all(len(batch) == size for batch in batches[:-1])
    assert 2 <= len(batches[-1]) <= size
    assert batches == batch_order(count, size, 7, epoch)


def test_the_order_depends_on_seed_and_epoch() -> None:
    orders = [batch_order(20, 4, seed, epoch) for seed in (1, 2) for epoch in (0, 1)]
    assert all(orders[i] != orders[j] for i in range(4) for j in range(i))


@settings(max_examples=40, deadline=None)
@given(patients=st.integers(2, 12), exams_each=st.integers(1, 2), seed=st.integers(0, 1000))
def test_nobody_keeps_their_own_items(patients: int, exams_each: int, seed: int) -> None:
    exams = [
        Exam(f"e{patient}-{number}", f"p{patient}", 0, (), np.array([float(patient)]))
        for patient in range(patients)
        for number in range(exams_each)
    ]
    permuted = with_items_of_others(exams, seed)
    own, lent = item_rows(exams)[:, 0], item_rows(permuted)[:, 0]
    assert (own != lent).all()
    assert sorted(lent) == sorted(own)
    assert len(set(zip(own.tolist(), lent.tolist(), strict=True))) == patients, "exams of a patient agree"
    assert [replace_items(exam) for exam in permuted] == [replace_items(exam) for exam in exams]
    again = item_rows(with_items_of_others(exams, seed))[:, 0]
    assert np.array_equal(lent, again)


def replace_items(exam: Exam) -> tuple[object, ...]:
    return exam.exam_id, exam.patient_id, exam.label, exam.volumes


def test_the_permutation_depends_on_the_seed() -> None:
    exams = toy_exams(9)
    first, second = (item_rows(with_items_of_others(exams, seed)) for seed in (1, 2))
    assert not np.array_equal(first, second, equal_nan=True)
    with pytest.raises(AnalysisError, match="need at least two patients"):
        with_items_of_others(exams[:1], 1)


@pytest.mark.parametrize("clinical", [None, np.zeros(ITEMS + 1)])
def test_items_that_differ_between_exams_are_refused(clinical: np.ndarray | None) -> None:
    exams = toy_exams(3)
    exams[1] = replace(exams[1], clinical=clinical)
    with pytest.raises(InputError, match=r"exam toy/e001: has no clinical items, or not as many"):
        item_rows(exams)


def test_exams_are_sorted_and_checked() -> None:
    exams = toy_exams(4)
    assert [exam.exam_id for exam in check_exams(exams[::-1])] == [exam.exam_id for exam in exams]
    with pytest.raises(InputError, match="exam toy/e000: is given twice"):
        check_exams([*exams, exams[0]])
    for label in (None, 3, -1):
        with pytest.raises(InputError, match=f"exam toy/e000: has label {label}"):
            check_exams([replace(exams[0], label=label), *exams[1:]])
    with pytest.raises(AnalysisError, match="has 1 exams"):
        check_exams(exams[:1])
    with pytest.raises(AnalysisError, match=r"has 2 exams of one grade \(M0\)"):
        check_exams([exams[0], exams[3]])


def test_the_identity_follows_names_grades_voxels_and_items_in_use(tmp_path: Path) -> None:
    exams = toy_exams(3, folder=tmp_path)
    before = fingerprint(exams, items=True), fingerprint(exams, items=False)
    assert fingerprint(toy_exams(3, folder=tmp_path), items=True) == before[0]
    for change in ({"label": 2}, {"patient_id": "toy/other"}, {"volumes": exams[1].volumes}):
        assert fingerprint([replace(exams[0], **change), *exams[1:]], items=False) != before[1]
    other_items = [replace(exams[0], clinical=np.zeros(ITEMS)), *exams[1:]]
    assert fingerprint(other_items, items=True) != before[0]
    assert fingerprint(other_items, items=False) == before[1]
    volume = np.load(tmp_path / "2-1.npy")
    volume[0, 0, 0] += 1
    np.save(tmp_path / "2-1.npy", volume)
    assert fingerprint(exams, items=False) != before[1]
    (tmp_path / "2-1.npy").unlink()
    with pytest.raises(VolumeError, match="cannot be read"):
        fingerprint(exams, items=False)

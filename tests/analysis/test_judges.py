from dataclasses import replace

import numpy as np
import pytest

from hccfeat.analysis.judges import NOT_RUN, make_judges, predictions, strict_patients
from hccfeat.errors import LeakageError
from hccfeat.extraction.cells import CellSpec
from tests.analysis.subset_study import IMAGES, PATCHES, make_bench, make_study


def test_strict_patients_are_the_longest_free_and_the_shortest_relapsed() -> None:
    relapsed = {"a": False, "b": False, "c": False, "d": True, "e": True, "f": True, "g": True}
    months = {"a": 10.0, "b": 90.0, "c": 50.0, "d": 30.0, "e": 5.0, "f": 5.0}
    assert strict_patients(relapsed, months, 2) == {"b", "c", "e", "f"}
    assert strict_patients(relapsed, months, 9) == set(relapsed) - {"g"}
    assert strict_patients({}, {}, 7) == set()


def test_judges_are_untreated_labelled_and_have_images() -> None:
    cells, patients, months = make_study()
    everybody = set(patients["patient_id"])
    judges = make_judges(cells.protocol, patients, months, everybody - {"external/E000"}, 3)
    assert len(judges.held_out) == 16 - 2
    assert len(judges.external) == 24 - 3
    assert judges.strict <= judges.external
    assert sum(judges.relapsed[patient] for patient in judges.strict) == 3
    assert len(judges.strict) == 6
    wrong = patients.with_columns(patient_id=np.array([cells.protocol.ids[0], *patients["patient_id"][1:]]))
    with pytest.raises(LeakageError):
        make_judges(cells.protocol, wrong, months, everybody | {cells.protocol.ids[0]}, 3)


def test_levels_hold_patches_images_and_patients_of_the_members_only() -> None:
    bench = make_bench()
    cell = bench.cells.get(CellSpec("cnn_sasm", "1/2", "fold1"))
    who = bench.judges.of_fold("fold1", "1/2")
    found = {level: predictions(cell, bench.judges, who, level) for level in ("patch", "image", "patient")}
    assert {level: len(one.y) for level, one in found.items()} == {
        "patch": len(who) * IMAGES * PATCHES,
        "image": len(who) * IMAGES,
        "patient": len(who),
    }
    for one in found.values():
        assert set(one.patients) == who
        assert one.events == sum(bench.judges.relapsed[patient] for patient in who)
    patch, image, patient = (found[level] for level in ("patch", "image", "patient"))
    first = patch.risk[patch.owner == 0].reshape(IMAGES, PATCHES).mean(axis=1)
    np.testing.assert_allclose(image.risk[image.owner == 0], first, atol=1e-7)
    np.testing.assert_allclose(patient.risk[0], first.mean(), atol=1e-7)
    everyone = bench.judges.of_fold("fold1", "1/1")
    shared = predictions(cell, bench.judges, who, "patch", universe=everyone)
    assert set(shared.patients) == everyone
    assert shared.n == len(who)


def test_a_patient_that_the_encoder_has_seen_is_no_judge() -> None:
    bench = make_bench()
    cell = bench.cells.get(CellSpec("cnn_sasm", "1/2", "fold1"))
    who = bench.judges.of_fold("fold1", "1/2")
    with pytest.raises(LeakageError, match="seen by the encoder"):
        predictions(replace(cell, seen=frozenset(sorted(who)[:1])), bench.judges, who, "patch")


def test_cells_left_out_and_failed_give_reasons() -> None:
    broken = CellSpec("cnn_sasm", "1/4", "fold2")
    bench = make_bench(subsets=("1/4", "1/2"), failed=[broken])
    assert bench.cell("cnn_sasm", "1/1", "fold1") == NOT_RUN
    assert "2 are needed" in bench.cell("cnn_sasm", "1/4", "fold2")
    folds, reason = bench.of_folds("cnn_sasm", "1/4", "patch")
    assert list(folds) == ["fold1"]
    assert reason.startswith("fold2: has 1 relapsed")
    assert bench.of_folds("cnn_sasm", "1/1", "patch") == ({}, NOT_RUN)
    assert bench.of_folds("cnn_sasm", "1/2", "patch")[1] == ""
    assert bench.of_final("resnet18", "1/2", "test", "image") == NOT_RUN

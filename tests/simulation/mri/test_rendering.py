"""What a rendered exam shows, and what it does not give away."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.polynomial.legendre import Legendre
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hccfeat.simulation.mri.anatomy import draw_anatomy, draw_frame, draw_poses, scanner_positions
from hccfeat.simulation.mri.latents import Latents, draw_latents
from hccfeat.simulation.mri.lesion import draw_lesion
from hccfeat.simulation.mri.parameters import FEATURES, load_mri_parameters
from hccfeat.simulation.mri.rendering import RenderedExam, RenderedPhase, render_exam

TINY = load_mri_parameters("tiny")
MRI = load_mri_parameters("mri")
PATIENTS = 220


def patients(n: int = 40) -> Latents:
    return draw_latents(TINY, 2, np.random.default_rng(2).standard_normal(n))


def test_equal_seeds_give_equal_voxels_in_any_order() -> None:
    latents = patients()
    first = [render_exam(TINY, latents, row, 2) for row in (3, 4)]
    again = [render_exam(TINY, latents, row, 2) for row in (4, 3)][::-1]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.pre.data, other.pre.data)
        np.testing.assert_array_equal(one.hbp.data, other.hbp.data)
    assert not np.array_equal(first[0].pre.data, first[1].pre.data)
    assert not np.array_equal(first[0].pre.data, render_exam(TINY, latents, 3, 9).pre.data)


def test_the_voxels_depend_on_the_signals_and_the_size_only() -> None:
    latents = patients()
    other = replace(latents, k=-latents.k, i=-latents.i, s=-latents.s, grade=2 - latents.grade)
    one, same = (render_exam(TINY, known, 7, 2) for known in (latents, other))
    np.testing.assert_array_equal(one.pre.data, same.pre.data)
    np.testing.assert_array_equal(one.hbp.data, same.hbp.data)
    changed = render_exam(TINY, replace(latents, signals=latents.signals + 1), 7, 2)
    np.testing.assert_array_equal(one.hbp.affine, changed.hbp.affine)
    assert 0 < (one.hbp.data != changed.hbp.data).mean() < 0.2  # the lesion and its surroundings


def test_volumes_are_as_promised_and_the_phases_are_not_registered() -> None:
    latents = patients()
    for row in range(12):
        exam = render_exam(TINY, latents, row, 2)
        for name in ("pre", "hbp"):
            volume, grid = exam.phase(name), TINY.grids.of(name)
            assert volume.data.dtype == np.int16
            assert volume.data.shape == volume.lesion_mask.shape == volume.liver_mask.shape == grid.shape
            assert volume.data.min() >= 0
            assert (volume.liver_mask | ~volume.lesion_mask).all()
            assert volume.liver_mask.sum() > volume.lesion_mask.sum() > 0
            spacing = np.abs(np.diag(volume.affine)[:3])
            np.testing.assert_allclose(spacing, grid.spacing_mm, rtol=0.041)
            voxel = np.linalg.solve(volume.affine, np.append(volume.centre_mm, 1))[:3]
            assert volume.lesion_mask[tuple(np.rint(voxel).astype(int))]
        assert 1 < np.linalg.norm(exam.pre.centre_mm - exam.hbp.centre_mm) < 40
        assert not np.allclose(np.abs(np.diag(exam.pre.affine)), np.abs(np.diag(exam.hbp.affine)))


def test_patients_have_different_bodies_and_the_liver_lies_to_the_right() -> None:
    latents = patients()
    widths = []
    for row in range(8):
        volume = render_exam(TINY, latents, row, 2).hbp
        body = volume.data > 0.15 * np.percentile(volume.data, 99)
        widths.append(np.ptp(np.nonzero(body.any(axis=(1, 2)))[0]) * volume.affine[0, 0])
        liver = np.argwhere(volume.liver_mask).mean(axis=0)
        assert (volume.affine @ np.append(liver, 1))[0] > 20
    assert 270 < np.mean(widths) < 390
    assert np.std(widths) > 5


def test_axes_of_dicom_slices_show_the_same_patient_turned() -> None:
    latents = patients()
    one, turned = (render_exam(TINY, latents, 1, 2, dicom=dicom) for dicom in (False, True))
    for name in ("pre", "hbp"):
        assert np.sign(np.diag(turned.phase(name).affine)[:3]).tolist() == [-1, -1, 1]
        np.testing.assert_allclose(one.phase(name).centre_mm, turned.phase(name).centre_mm)
    flipped = turned.hbp.lesion_mask[::-1, ::-1]
    assert (one.hbp.lesion_mask == flipped).all()


def test_positions_in_the_scan_are_the_inverse_of_places_in_the_patient() -> None:
    rng = np.random.default_rng(0)
    anatomy = draw_anatomy(MRI, rng)
    for pose in draw_poses(MRI, rng):
        frame = draw_frame(MRI, MRI.grids.hbp, anatomy, pose, (-1, 1, 1), rng)
        voxel = (30, 20, 11)
        place = frame.place[(slice(None), *voxel)].astype(float)
        found = scanner_positions(anatomy, pose, place[None])[0]
        np.testing.assert_allclose(found, [axis[j] for axis, j in zip(frame.axes, voxel, strict=True)], atol=0.01)


def test_the_surfaces_deviation_has_unit_root_mean_square() -> None:
    directions = np.random.default_rng(0).standard_normal((20_000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        lesion = draw_lesion(MRI, draw_anatomy(MRI, rng), 40.0, rng)
        deviation = sum(
            weight * Legendre.basis(int(degree))(directions @ pole)
            for pole, degree, weight in zip(lesion.poles, lesion.degrees, lesion.weights, strict=True)
        )
        assert np.sqrt(np.mean(deviation**2)) == pytest.approx(1, abs=0.03)
        assert lesion.axes.prod() == pytest.approx(1)


def hbp_measures(volume: RenderedPhase) -> tuple[float, float]:
    """Roughness of the surface beyond an ellipsoid, and darkening round it as a share of the contrast."""
    spacing = np.abs(np.diag(volume.affine)[:3])
    found = np.argwhere(volume.lesion_mask)
    low = np.maximum(found.min(axis=0) - 8, 0)
    part = tuple(slice(*corners) for corners in zip(low, found.max(axis=0) + 9, strict=True))
    mask, data = volume.lesion_mask[part], volume.data[part].astype(float)
    away = distance_transform_edt(~mask, sampling=spacing)
    offset = np.argwhere(mask & ~binary_erosion(mask)) * spacing - (np.argwhere(mask) * spacing).mean(axis=0)
    radius = np.linalg.norm(offset, axis=1)
    unit = offset / radius[:, None]
    smooth = np.column_stack([unit, unit**2, unit * np.roll(unit, 1, axis=1)])
    rough = np.log(radius) - smooth @ np.linalg.lstsq(smooth, np.log(radius), rcond=None)[0]
    liver = volume.liver_mask[part] & ~mask
    far = np.median(data[liver & (away > 20)])
    near = data[liver & (away > 3) & (away < 9)].mean()
    return rough.std(), (far - near) / (far - np.median(data[mask]))


def pre_measures(exam: RenderedExam) -> tuple[float, float]:
    """Spread inside the lesion as a share of the liver's intensity, and its size against HBP."""
    volume = exam.pre
    liver = np.median(volume.data[volume.liver_mask & ~volume.lesion_mask])
    size = [phase.lesion_mask.sum() * np.abs(np.diag(phase.affine)[:3]).prod() for phase in (exam.pre, exam.hbp)]
    return volume.data[volume.lesion_mask].std() / liver, np.log(size[0] / size[1])


def test_the_four_features_can_be_measured_in_the_voxels() -> None:
    latents = draw_latents(MRI, 5, np.random.default_rng(5).standard_normal(50))
    exams = [render_exam(MRI, latents, row, 5) for row in range(50)]
    measured = np.array([(*hbp_measures(exam.hbp), *pre_measures(exam)) for exam in exams])
    for column, name in enumerate(FEATURES):
        assert spearmanr(measured[:, column], latents.signals[:, column])[0] > 0.5, name


@pytest.fixture(scope="module")
def shortcuts() -> tuple[NDArray[np.float64], NDArray[np.float64], Latents, Latents]:
    """Scanner facts and measures of PRE per patient, and the latents with all weights and with K alone."""
    a = np.random.default_rng(8).standard_normal(PATIENTS)
    latents = draw_latents(TINY, 8, a)
    only_k = draw_latents(load_mri_parameters("tiny", {"weight_s": 0, "weight_i": 0}), 8, a)
    facts, measures = [], []
    for row in range(PATIENTS):
        exam = render_exam(TINY, latents, row, 8)
        measures.append(pre_measures(exam))
        facts.append(
            [
                value
                for volume in (exam.pre, exam.hbp)
                for value in (
                    np.abs(np.diag(volume.affine)[:3]).prod(),
                    volume.data.size,
                    volume.data.mean(),
                    volume.data[:5, :5].std(),
                )
            ]
        )
    return np.array(facts), np.array(measures), latents, only_k


def macro_auc(features: NDArray[np.float64], grade: NDArray[np.int64]) -> float:
    """Cross-validated by patient, mean over three shufflings."""
    model, scores = make_pipeline(StandardScaler(), LogisticRegression()), []
    for seed in range(3):
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        found = cross_val_predict(model, features, grade, cv=folds, method="predict_proba")
        scores.append(roc_auc_score(grade, found, multi_class="ovo", average="macro"))
    return float(np.mean(scores))


Measured = tuple[NDArray[np.float64], NDArray[np.float64], Latents, Latents]


@pytest.mark.parametrize("column", range(4), ids=["spacing", "voxels", "mean", "noise"])
def test_the_scanner_is_no_shortcut(shortcuts: Measured, column: int) -> None:
    facts, _, latents, _ = shortcuts
    assert 0.4 <= macro_auc(facts[:, [column, column + 4]], latents.grade) <= 0.6


def test_the_lesion_tells_the_grade_unless_only_k_makes_it(shortcuts: Measured) -> None:
    _, measures, latents, only_k = shortcuts
    assert macro_auc(measures, latents.grade) > 0.6
    assert 0.4 <= macro_auc(measures, only_k.grade) <= 0.6

import numpy as np

from hccfeat.stats.columns import constant, independent_columns


def test_constant_and_repeated_columns_are_named() -> None:
    generator = np.random.default_rng(1)
    a, b = generator.normal(size=(2, 30))
    matrix = np.column_stack([a, np.full(30, 7.3), b, 2 * a - b, a + 1e-3 * generator.normal(size=30)])
    kept, left_out = independent_columns(matrix, ["a", "flat", "b", "sum", "near"])
    assert kept == [0, 2, 4]
    assert left_out == {"flat": "constant", "sum": "a linear combination of the covariates before it"}


def test_rounding_noise_is_no_spread() -> None:
    assert constant(np.array([1e6, 1e6 + 1e-9, 1e6]))
    assert constant(np.zeros(3))
    assert not constant(np.array([0.0, 1e-9]))

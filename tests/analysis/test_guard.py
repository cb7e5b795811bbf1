import pytest

from hccfeat.analysis.guard import assert_unseen
from hccfeat.errors import LeakageError


def test_unseen_patients_pass() -> None:
    assert_unseen(["a/1", "a/2"], {"a/3"}, "held-out patients")
    assert_unseen([], {"a/3"}, "held-out patients")


def test_one_seen_patient_is_a_leak_that_names_the_number_but_nobody() -> None:
    with pytest.raises(LeakageError, match=r"held-out patients of cohort a: 1 of 3 were seen") as raised:
        assert_unseen(["a/1", "a/2", "a/3"], {"a/3", "a/9"}, "held-out patients of cohort a")
    assert "a/3" not in str(raised.value)
    assert "--folds" in raised.value.remedy

"""kill -9 of a worker, the committer or the driver, at moments spread over a whole run of ``extract``."""

import pytest

from hccfeat.store.verify import verify
from tests.faults.ledger import note_trial
from tests.faults.trials import Trials

KILLS = 50


@pytest.mark.slow
def test_fifty_kills_lose_nothing(trials: Trials) -> None:
    for number, moment in enumerate(trials.kills(KILLS)):
        study, told = trials.killed(moment)
        trial = trials.judged(study, told)
        note_trial(f"kill -9 of {'a' if moment['role'] == 'worker' else 'the'} {moment['role']}", moment, trial)
        where = f"kill {number}, {moment}: {trial}"
        assert told["struck"], where
        assert (trial.damage, trial.differs, trial.lost) == ([], [], []), where
        if moment["role"] == "worker":  # the others, and the driver, take no notice
            assert (told["error"], told["failures"]) == ("", {}), where
        if number % 10 == 0:
            assert verify(study, isolated=False) == [], where
        trials.forget(study)

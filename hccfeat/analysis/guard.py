"""The one place that decides whether a patient may be a judge."""

from collections.abc import Collection, Iterable

from hccfeat.errors import LeakageError


def assert_unseen(patients: Iterable[str], seen: Collection[str], judges: str) -> None:
    """Refuse to judge an encoder on patients it has seen.

    Parameters
    ----------
    patients : iterable of str
        Patients whose predictions are about to be scored.
    seen : collection of str
        Patients whose images or outcomes trained, stopped or selected the encoder.
    judges : str
        Who they are, for the message, for example ``"held-out patients of cohort internal"``.

    Raises
    ------
    LeakageError
        If any patient was seen. The message gives their number, not their names.
    """
    judged = set(patients)
    leaked = len(judged & set(seen))
    if leaked:
        raise LeakageError(
            judges,
            f"{leaked} of {len(judged)} were seen by the encoder of this feature set",
            "Judge it on patients it has not seen, or train one encoder per fold with `hccfeat extract --folds K`.",
        )

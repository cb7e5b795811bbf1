"""What ``hccfeat simulate`` does with its texts."""

from pathlib import Path

from hccfeat.errors import InputError
from hccfeat.simulation.deliver import CohortFiles, simulate


def simulate_with_changes(destination: Path, *, preset: str, seed: int, changes: list[str]) -> str:
    """Write a simulated delivery; ``changes`` are ``key=value`` texts. Returns one line about it.

    Raises
    ------
    InputError
        If a change is not KEY=NUMBER, or the folder exists and is not empty.
    """
    overrides: dict[str, float | int] = {}
    for change in changes:
        key, _, value = change.partition("=")
        try:
            number = float(value)
        except ValueError as error:
            raise InputError(f"--set {change}", "is not KEY=NUMBER", "Write for example --set pi=0.2.") from error
        overrides[key.strip()] = int(number) if number.is_integer() else number
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise InputError(str(destination), "exists and is not an empty folder", "Give a new folder.")
    made = simulate(destination, preset, seed, overrides or None)
    return ", ".join(f"{c.name} {c.patients} patients{_files_of(c)}" for c in made.cohorts.values())


def _files_of(cohort: CohortFiles) -> str:
    counts = {"images": cohort.images, "MRI exams": cohort.exams}
    return "".join(f", {count} {what}" for what, count in counts.items() if count)

"""What is wrong with one thing in a study."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One problem found by ``verify``, or met while a catalog was brought up to date.

    Attributes
    ----------
    entity : str
        The shard, record or table.
    problem : str
        What is wrong with it, without a final full stop.
    remedy : str
        What to do, as a sentence.
    level : str
        ``damage``, or ``warning``: sound but odd.
    """

    entity: str
    problem: str
    remedy: str
    level: str = "damage"

    def __str__(self) -> str:
        return f"{self.entity}: {self.problem}. {self.remedy}"

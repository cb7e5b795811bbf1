"""The studies by name; each is loaded when it is run."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hccfeat.errors import InputError
from hccfeat.evidence.page import Evidence, write_evidence

STUDIES = ("denoising", "treatment", "null", "histology", "distillation")


@dataclass(frozen=True)
class Options:
    """What the command line asks for.

    Attributes
    ----------
    out : Path
        Folder of the page and of the replicates.
    images : bool
        Whether studies with an image part run it; otherwise only replicates that are kept are shown.
    replicates : int, optional
        Fewer or more tabular replicates than the parameters say; image studies take at most as many seeds.
    command : str
        As typed, for the page.
    """

    out: Path
    images: bool = True
    replicates: int | None = None
    command: str = ""


def run_study(study: str, options: Options) -> tuple[Evidence, Path]:
    """Run a study and write its page; finished replicates with equal parameters are reused.

    Parameters
    ----------
    study : {"denoising", "treatment", "null", "histology", "distillation"}
        The function ``run`` of the module of that name takes the options and gives an :class:`Evidence`.
    options : Options

    Returns
    -------
    Evidence and the path of its page.

    Raises
    ------
    InputError
        If the study is unknown or the folder holds another record.
    """
    if study not in STUDIES:
        raise InputError(f"study {study}", "does not exist", f"Use one of {', '.join(STUDIES)}.")
    run: Callable[[Options], Evidence] = importlib.import_module(f"hccfeat.evidence.{study}").run
    evidence = run(options)
    return evidence, write_evidence(evidence, options.out)

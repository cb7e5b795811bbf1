"""Lightning without its banners, and without advice on what is chosen here on purpose."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch.callbacks import Callback

LOGGERS = ("lightning.pytorch", "lightning.fabric")


def silence() -> None:
    """Quieten Lightning in this process from now on."""
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=PossibleUserWarning)
    # Lightning 2.6 uses a torch name that torch 2.15 deprecates
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated", category=FutureWarning)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Quieten Lightning inside the block."""
    levels = [logging.getLogger(name).level for name in LOGGERS]
    try:
        with warnings.catch_warnings():
            silence()
            yield
    finally:
        for name, level in zip(LOGGERS, levels, strict=True):
            logging.getLogger(name).setLevel(level)


class QuietProcesses(Callback):
    """Carries the silence into the processes spawned for further devices, which inherit no settings."""

    def __reduce__(self) -> tuple[Callable[[], "QuietProcesses"], tuple[()]]:
        return _unpickled, ()


def _unpickled() -> QuietProcesses:
    silence()
    return QuietProcesses()

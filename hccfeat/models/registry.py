"""Encoders by name."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any, TypeVar

from hccfeat.errors import ConfigError
from hccfeat.models.base import Encoder

Class = TypeVar("Class", bound=type[Encoder])
_encoders: dict[str, type[Encoder]] = {}


def register(name: str) -> Callable[[Class], Class]:
    """Class decorator that makes an encoder known under ``name``."""

    def add(encoder: Class) -> Class:
        known = _encoders.setdefault(name, encoder)
        if known.__qualname__ != encoder.__qualname__ or known.__module__ != encoder.__module__:
            raise ConfigError(f"encoder {name}", "is registered twice", "Give one of them another name.")
        return encoder

    return add


def names() -> list[str]:
    """Names that :func:`create` takes, sorted."""
    _discover()
    return sorted(_encoders)


def create(name: str, /, **options: Any) -> Encoder:
    """Make an encoder.

    Parameters
    ----------
    name : str
        One of :func:`names`.
    **options
        Keyword arguments of the encoder's class, for instance ``input_px=64``, ``trunk_weights="none"``.

    Returns
    -------
    Encoder
        A module in training mode, on the CPU, initialised from torch's global random state.

    Raises
    ------
    ConfigError
        If the name or an option is unknown, an option that the encoder needs is missing, or one has a value that
        the encoder refuses.
    """
    _discover()
    if name not in _encoders:
        raise ConfigError(f"encoder {name}", "does not exist", f"Known encoders: {', '.join(names())}.")
    encoder = _encoders[name]
    parameters = inspect.signature(encoder).parameters
    open_ended = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    if not open_ended and (unknown := sorted(set(options) - set(parameters))):
        raise ConfigError(
            f"encoder {name}", f"has no option {', '.join(unknown)}", f"Its options: {', '.join(parameters)}."
        )
    needed = [
        key
        for key, parameter in parameters.items()
        if parameter.default is parameter.empty and parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    if missing := [key for key in needed if key not in options]:
        raise ConfigError(f"encoder {name}", f"needs {', '.join(missing)}", "Give it in encoder.options.")
    return encoder(**options)


def _discover() -> None:
    """Import every module of this package once, so that its encoders register themselves."""
    package = importlib.import_module("hccfeat.models")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"hccfeat.models.{module.name}")

"""Typed, immutable models of TOML files, and reading them with errors that name the key."""

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from hccfeat.errors import ConfigError
from hccfeat.resources import resource_folder

Model = TypeVar("Model", bound=BaseModel)


class Frozen(BaseModel):
    """Base of every configuration model: immutable, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def load_named(what: str, folder: str, name: str, model: type[Model], study: Path | None) -> Model:
    """Read ``<folder>/<name>.toml`` of the data catalog, the study's own before the shipped one.

    Parameters
    ----------
    what : str
        What it is, for the error.
    folder : str
        Folder of ``data_catalog/``.
    name : str
        File name without suffix.
    model : type
        What the file must fit.
    study : Path or None
        Study folder.

    Raises
    ------
    ConfigError
        If there is none of this name, or it is malformed.
    """
    folders = [] if study is None else [study / "data_catalog" / folder]
    folders.append(resource_folder("data_catalog") / folder)
    for place in folders:
        path = place / f"{name}.toml"
        if path.is_file():
            return parse_toml(path, model)
    known = ", ".join(sorted({path.stem for place in folders for path in place.glob("*.toml")}))
    raise ConfigError(f"{what} {name}", "does not exist", f"Known {what}s: {known}.")


def parse_toml(path: Path, model: type[Model]) -> Model:
    """Parse a TOML file into a pydantic model; every problem names the file and the key.

    Raises
    ------
    ConfigError
        If the file is not TOML or does not fit the model.
    """
    try:
        return model.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), f"is not valid TOML ({error})", "Correct the file.") from error
    except ValidationError as error:
        raise ConfigError(str(path), problems_of(error), "Correct the keys named.") from error


def problems_of(error: ValidationError) -> str:
    """Key and problem of everything that does not fit a model, in one line."""
    return "; ".join(f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors())

"""The one place that finds ``sql/``, ``data_catalog/`` and ``reports/``, in a wheel or in a checkout."""

from pathlib import Path

from hccfeat.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parent


def resource_folder(name: str) -> Path:
    """Folder of shipped plain files.

    Parameters
    ----------
    name : {"sql", "data_catalog", "reports"}
        Top-level folder.

    Raises
    ------
    ConfigError
        If the installation lacks it.
    """
    for folder in (_PACKAGE / "_resources" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise ConfigError(name, "is missing from this installation of hccfeat", "Reinstall the package.")

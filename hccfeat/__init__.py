"""hccfeat: slides, MRI and clinical tables of a liver-cancer study as a feature store and a report."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "open_study"]

if TYPE_CHECKING:
    from hccfeat.study import open_study


def __getattr__(name: str) -> Any:
    # Imported on first use, so that `hccfeat --help` does not pay for polars and torch.
    if name == "open_study":
        from hccfeat.study import open_study

        return open_study
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)

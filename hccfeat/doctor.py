"""``hccfeat doctor``: whether this installation has what it needs."""

import importlib
import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from hccfeat.errors import HccfeatError
from hccfeat.resources import resource_folder

LIBRARIES = (
    "torch", "torchvision", "timm", "lightning", "h5py", "duckdb", "polars", "pyarrow", "openslide", "skimage",
    "sklearn", "sksurv", "xgboost", "lifelines", "statsmodels", "matplotlib", "safetensors",
)  # fmt: skip
MIN_FREE_GB = 5
MIN_MEMORY_GB = 4


@dataclass(frozen=True)
class Check:
    """One line of the examination; ``broken`` stops work, ``note`` does not."""

    what: str
    state: Literal["fine", "note", "broken"]
    detail: str


def examine() -> list[Check]:
    """Examine the installation and the machine.

    Returns
    -------
    list of Check
        In the order worth reading.
    """
    checks: list[Callable[[], Check]] = [
        _python,
        _resources,
        _slide_formats,
        _device,
        _bf16,
        _memory,
        partial(_disk, "here", Path.cwd()),
        partial(_disk, "for temporary files", Path(tempfile.gettempdir())),
        _browser,
    ]
    return [*(_library(name) for name in LIBRARIES), *(check() for check in checks)]


def _library(name: str) -> Check:
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError, RuntimeError) as error:
        return Check(name, "broken", f"cannot be imported: {error}. Reinstall hccfeat.")
    return Check(name, "fine", str(getattr(module, "__version__", "installed")))


def _python() -> Check:
    return Check("python", "fine", f"{sys.version.split()[0]} at {sys.executable}")


def _resources() -> Check:
    try:
        for name in ("sql", "data_catalog", "reports"):
            resource_folder(name)
    except HccfeatError as error:
        return Check("resources", "broken", str(error))
    return Check("resources", "fine", "sql, data_catalog and reports found")


def _slide_formats() -> Check:
    import openslide

    return Check("slide formats", "fine", f"OpenSlide {openslide.__library_version__}, TIFF, PNG, JPEG")


def _device() -> Check:
    import torch

    if torch.cuda.is_available():
        return Check("device", "fine", f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}")
    return Check("device", "note", f"no GPU; {len(os.sched_getaffinity(0))} CPU cores")


def _bf16() -> Check:
    import torch

    from hccfeat.training.devices import resolve_precision

    if resolve_precision("auto", torch.device("cpu")) == "bf16":
        return Check("bf16 on the CPU", "fine", "yes")
    return Check("bf16 on the CPU", "note", "no; float32 is used, about three times slower")


def _memory() -> Check:
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    state: Literal["fine", "note"] = "fine" if gigabytes >= MIN_MEMORY_GB else "note"
    return Check("memory", state, f"{gigabytes:.0f} GB")


def _disk(where: str, folder: Path) -> Check:
    free = shutil.disk_usage(folder).free / 1e9
    state: Literal["fine", "note"] = "fine" if free >= MIN_FREE_GB else "note"
    return Check(f"free disk {where}", state, f"{free:.0f} GB at {folder}")


def _browser() -> Check:
    found = next((path for name in ("chromium", "google-chrome", "firefox") if (path := shutil.which(name))), None)
    if found:
        return Check("browser", "fine", found)
    return Check("browser", "note", "none found here; the report opens in any browser elsewhere")

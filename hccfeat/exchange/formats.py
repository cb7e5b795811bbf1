"""The formats by name: how files are found and read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hccfeat.config import ExchangeFormat
from hccfeat.exchange import anndata_files, clam, parquet_files, stamp, trident
from hccfeat.exchange.bag import Bag, Facts, FoundFile


@dataclass(frozen=True)
class Reader:
    """How one format is read: ``find(path, coords)``, ``facts(file)``, ``read(file)``; see the format's module."""

    find: Callable[[Path, Path | None], list[FoundFile]]
    facts: Callable[[FoundFile], Facts]
    read: Callable[[FoundFile], Bag]


READERS: dict[ExchangeFormat, Reader] = {
    "clam": Reader(clam.find, clam.facts, clam.read),
    "trident": Reader(trident.find, trident.facts, trident.read),
    "stamp": Reader(stamp.find, stamp.facts, stamp.read),
    "h5ad": Reader(anndata_files.find, anndata_files.facts, anndata_files.read),
    "parquet": Reader(parquet_files.find, parquet_files.facts, parquet_files.read),
}

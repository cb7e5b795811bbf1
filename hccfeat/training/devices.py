"""Which device computes, and in which precision."""

import os
from functools import cache
from pathlib import Path
from typing import Literal

import torch

from hccfeat.errors import ConfigError

Precision = Literal["float32", "bf16"]


def resolve_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:1`` into a device.

    Raises
    ------
    ConfigError
        If the name is unknown or there is no such GPU.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in {"cpu", "cuda"} or (index and not index.isdigit()) or (kind == "cpu" and index):
        raise ConfigError(f"device {name}", "is unknown", "Use auto, cpu, cuda or cuda:<number>.")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device {name}", f"is absent ({torch.cuda.device_count()} GPUs are visible)", "Use auto or cpu."
        )
    return torch.device(name)


def node_rank(nodes: int) -> int:
    """Place of this machine (from 0) among those that share a training; 0 where there is only one.

    Raises
    ------
    ConfigError
        If there are several and the environment does not say which this one is and where they meet.
    """
    if nodes == 1:
        return 0
    if missing := [name for name in ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]:
        remedy = "Start one process on each machine as docs/cluster.md shows."
        raise ConfigError(f"--nodes {nodes}", f"needs the environment variables {', '.join(missing)}", remedy)
    rank = os.environ["NODE_RANK"]
    if not rank.isdecimal() or int(rank) >= nodes:
        raise ConfigError(f"NODE_RANK {rank}", f"is not one of 0 to {nodes - 1}", "Number the machines from 0.")
    return int(rank)


def resolve_precision(wanted: Literal["auto", "float32", "bf16"], device: torch.device) -> Precision:
    """Give the precision of the trunk; attention and head are float32 in any case.

    ``auto`` is bf16 on GPUs that have it and on processors with AVX512-BF16 or AMX instructions.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bf16" if _processor_has_bf16() else "float32"


@cache
def _processor_has_bf16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16"))

"""Run ``extract`` and kill it at given moments; a script, because only a fresh process may fork safely.

Usage: python kill_extract.py STUDY MODALITY SECONDS [SECONDS ...]
Each run is a fork of a process that has imported everything and computed nothing, so that a run takes seconds.
After each kill the store is verified; the findings are printed as JSON, one line per kill.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import torch  # noqa: F401

import hccfeat.extraction.workflow  # noqa: F401
from hccfeat.progress import set_quiet
from hccfeat.store.verify import verify
from hccfeat.study import open_study


def main(study: Path, modality: str, moments: list[float]) -> None:
    set_quiet(True)
    if modality == "mri":
        import monai.transforms.spatial.array  # noqa: F401
    else:
        import lightning.pytorch  # noqa: F401
        import timm  # noqa: F401
    for moment in moments:
        child = os.fork()
        if child == 0:
            open_study(study).extract(modality=modality, device="cpu")
            os._exit(0)
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        findings = [vars(finding) for finding in verify(study)]
        print(json.dumps({"moment": moment, "killed": os.WIFSIGNALED(status), "findings": findings}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], [float(text) for text in sys.argv[3:]])

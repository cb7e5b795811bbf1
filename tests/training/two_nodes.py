"""Train on two machines, both this one; a script, because only a fresh process may fork safely.

Usage: python -m tests.training.two_nodes WORK PORT; prints what each of the two ended with.
"""

import os
import sys
from pathlib import Path

import lightning.pytorch  # noqa: F401

from hccfeat.progress import set_quiet
from hccfeat.training.encoder import train_encoder
from tests.training.toy import flips, toy_images, toy_recipe


def main(work: Path, port: str) -> None:
    set_quiet(True)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    for rank in ("0", "1"):
        if os.fork() == 0:
            os.environ["NODE_RANK"] = rank
            trained = train_encoder(
                toy_images(), toy_recipe(max_epochs=1), augment=flips, work=work, device="cpu", nodes=2, threads=1,
                progress=False,
            )  # fmt: skip
            print(rank, trained.weights_sha256, len(trained.history), flush=True)
            os._exit(0)
    for _ in range(2):
        _, status = os.wait()
        assert status == 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

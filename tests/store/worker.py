"""What ``extract`` does to a store, without a network: the process that the kill tests kill.

``python -m tests.store.worker`` reads study folders from its input and forks a process for each, which says
``ready <pid>`` and works; the next line is the sign to reap it. Forking saves importing the libraries anew.
"""

import os
import sys
from pathlib import Path

from hccfeat.store.committer import Committer
from hccfeat.store.shards import write_shard
from tests.store.builder import add_feature_set, add_results, image_ids, ingest, shard

PATIENTS = 8


def work(study: Path, say_ready: bool = False) -> None:
    with Committer(study) as committer:
        if say_ready:
            print(f"ready {os.getpid()}", flush=True)
        known = set(committer.query("SELECT name FROM record")["name"])
        if "internal" not in known:
            ingest(committer, patients=PATIENTS)
        if "pps-1" not in known:
            add_feature_set(committer)
        committer.adopt_found("pps-1")
        done = committer.done_images("pps-1")
        for number, image_id in enumerate(image_ids(patients=PATIENTS)):
            if image_id not in done:
                committer.adopt([write_shard(study, shard(image_id, number % 5))])
            if number % 8 == 7 and f"analyze-{number}" not in known:
                add_results(committer, f"analyze-{number}")
            if number % 4 == 3:
                committer.publish()


def serve() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            work(Path(line.rstrip("\n")), say_ready=True)
            os._exit(0)
        sys.stdin.readline()
        _, status = os.waitpid(child, 0)
        print("finished" if status == 0 else "killed", flush=True)


if __name__ == "__main__":
    serve()

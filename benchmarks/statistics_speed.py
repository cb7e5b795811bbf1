"""How the time of the statistics grows with the number of patients, beside other libraries on the same arrays.

    python benchmarks/statistics_speed.py --json statistics_speed.json
    python benchmarks/statistics_speed.py --n 1000 10000 100000 --check

Prints one Markdown table: seconds of CPU on one core (for R, elapsed time within R), and by how much ten times the
patients multiply hccfeat's time. A cell is empty where a library lacks the statistic, and a dash where its time
grows with the square of n and n is at least ``--quadratic``. The C-indices of scikit-survival and lifelines come
without a standard error. R is called if ``Rscript`` with the packages survival and pROC is on the path. With
``--check`` the exit status is 1 if a statistic with a limit (2 s) misses it.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.utils import concordance_index
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.metrics import brier_score, concordance_index_censored, concordance_index_ipcw, cumulative_dynamic_auc
from sksurv.nonparametric import kaplan_meier_estimator
from sksurv.util import Surv

from hccfeat.stats.concordance import concordance
from hccfeat.stats.coxmodel import cox_model
from hccfeat.stats.delong import paired_delong
from hccfeat.stats.discrimination import auroc
from hccfeat.stats.km import product_limit
from hccfeat.stats.timedependent import Horizon, auc_at, brier_at

LIMITED = ["Harrell C with SE", "DeLong interval", "Kaplan-Meier"]
LIMIT = 2.0
"""Seconds that a statistic of ``LIMITED`` may take, however many patients are asked for."""
TASKS = ["Harrell C with SE", "Uno C with SE", "Kaplan-Meier", "DeLong interval", "paired DeLong",
         "AUC and Brier at t", "Cox, 6 covariates"]  # fmt: skip
LIBRARIES = ["hccfeat", "scikit-survival", "lifelines", "R"]
NOT_INSTALLED = "not installed"
QUADRATIC = "-"
Cell = float | str
R_CODE = """
suppressMessages({library(survival); library(pROC)})
d <- read.csv(commandArgs(TRUE)[1])
s <- function(e) cat(system.time(e)[["elapsed"]], "\\n")
s(concordance(Surv(time, event) ~ risk, d, reverse = TRUE))
s(concordance(Surv(time, event) ~ risk, d, reverse = TRUE, timewt = "n/G2"))
s(survfit(Surv(time, event) ~ 1, d))
r <- roc(d$event, d$risk, quiet = TRUE); s(ci.auc(r, method = "delong"))
s(roc.test(roc(d$event, d$risk, quiet = TRUE), roc(d$event, d$other, quiet = TRUE), method = "delong"))
cat("NA\\n")
s(coxph(Surv(time, event) ~ x1 + x2 + x3 + x4 + x5 + x6, d))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[1000, 3162, 10_000, 31_623, 100_000])
    parser.add_argument("--quadratic", type=int, default=20_000, help="leave out quadratic libraries from here on")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true", help="exit with 1 if a statistic misses its limit")
    arguments = parser.parse_args()
    found = {n: measure(n, arguments.quadratic) for n in arguments.n}
    print("\n".join(table(found)))
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(found), indent=1) + "\n", encoding="utf-8")
    slow = [name for one in found.values() for name in LIMITED if float(one["hccfeat"][name]) > LIMIT]
    return int(arguments.check and bool(slow))


def measure(n: int, quadratic: int) -> dict[str, dict[str, Cell]]:
    """Seconds by library and statistic; the arrays are the same for all."""
    warm, data = simulated(200), simulated(n)
    ours(warm), lifelines(warm), scikit_survival(warm, quadratic=True)
    columns = [ours(data), scikit_survival(data, n < quadratic), lifelines(data), r_seconds(data)]
    return dict(zip(LIBRARIES, columns, strict=True))


def table(found: dict[int, dict[str, dict[str, Cell]]]) -> list[str]:
    """One line per statistic and number of patients."""
    lines = [f"| statistic | n | {' | '.join(LIBRARIES)} | x10 patients |", "| --- | ---: |" + " ---: |" * 5]
    for name in TASKS:
        factor = growth({n: float(one["hccfeat"][name]) for n, one in found.items()})
        for n, one in found.items():
            cells = [one[library].get(name, "") for library in LIBRARIES]
            shown = " | ".join(f"{cell:.3f}" if isinstance(cell, float) else cell for cell in cells)
            last = f"x{factor:.0f}" if factor and n == max(found) else ""
            lines.append(f"| {name} | {n:,} | {shown} | {last} |")
    return lines


def growth(seconds_of: dict[int, float]) -> float | None:
    """Factor of the time for ten times the patients, between the largest n and the next below a tenth of it."""
    largest = max(seconds_of)
    smaller = [n for n in seconds_of if n <= 0.15 * largest]
    if not smaller or not seconds_of[max(smaller)]:
        return None
    n = max(smaller)
    return float((seconds_of[largest] / seconds_of[n]) ** (1 / np.log10(largest / n)))


def as_json(found: dict[int, dict[str, dict[str, Cell]]]) -> dict[str, Any]:
    """The same as data, with the versions."""
    versions = {name: version(name) for name in ("numpy", "scipy", "scikit-survival", "lifelines")}
    rows = [
        {"statistic": name, "n": n, **{library: one[library].get(name) for library in LIBRARIES}}
        for n, one in found.items()
        for name in TASKS
    ]
    return {"unit": "s of CPU on one core", "versions": versions, "rows": rows}


def simulated(n: int) -> dict[str, np.ndarray]:
    """Exponential times with censoring, a risk that tells half the truth, and one that tells less."""
    generator = np.random.default_rng(n)
    x = generator.normal(size=(n, 6))
    failed = generator.exponential(size=n) * np.exp(-x[:, 0] - 0.5 * x[:, 1])
    lost = generator.exponential(size=n)
    return {
        "time": np.minimum(failed, lost), "event": failed <= lost, "risk": x[:, 0], "x": x,
        "other": x[:, 0] + generator.normal(size=n),
    }  # fmt: skip


def seconds(task: Callable[[], object]) -> float:
    """CPU seconds of one call; the best of three where a call takes less than a fifth of a second."""
    best = np.inf
    for _ in range(3):
        started = time.process_time()
        task()
        best = min(best, time.process_time() - started)
        if best > 0.2:
            break
    return float(best)


def ours(d: dict[str, np.ndarray]) -> dict[str, Cell]:
    time, event, risk = d["time"], d["event"], d["risk"]
    chance = 1 - np.exp(-0.5 * np.exp(risk))

    def at_horizon() -> None:
        at = Horizon(time, event, 0.5)
        auc_at(at, chance)
        brier_at(at, chance)

    return {
        "Harrell C with SE": seconds(lambda: concordance(time, event, risk)),
        "Uno C with SE": seconds(lambda: concordance(time, event, risk, weights="uno")),
        "Kaplan-Meier": seconds(lambda: product_limit(time, event).limits()),
        "DeLong interval": seconds(lambda: auroc(event, risk)),
        "paired DeLong": seconds(lambda: paired_delong(event, risk, d["other"])),
        "AUC and Brier at t": seconds(at_horizon),
        "Cox, 6 covariates": seconds(lambda: cox_model(time, event, d["x"])),
    }


def scikit_survival(d: dict[str, np.ndarray], quadratic: bool) -> dict[str, Cell]:
    outcome = Surv.from_arrays(d["event"], d["time"])
    found: dict[str, Cell] = {
        "Kaplan-Meier": seconds(lambda: kaplan_meier_estimator(d["event"], d["time"], conf_type="log-log")),
        "AUC and Brier at t": seconds(lambda: _sksurv_at_horizon(outcome, d)),
    }
    tasks = {
        "Harrell C with SE": lambda: concordance_index_censored(d["event"], d["time"], d["risk"]),
        "Uno C with SE": lambda: concordance_index_ipcw(outcome, outcome, d["risk"]),
        "Cox, 6 covariates": lambda: CoxPHSurvivalAnalysis(ties="efron").fit(d["x"], outcome),
    }
    return found | {name: seconds(task) if quadratic else QUADRATIC for name, task in tasks.items()}


def _sksurv_at_horizon(outcome: np.ndarray, d: dict[str, np.ndarray]) -> None:
    chance = 1 - np.exp(-0.5 * np.exp(d["risk"]))
    cumulative_dynamic_auc(outcome, outcome, chance, [0.5])
    brier_score(outcome, outcome, (1 - chance)[:, None], [0.5])


def lifelines(d: dict[str, np.ndarray]) -> dict[str, Cell]:
    import pandas as pd

    frame = pd.DataFrame(d["x"], columns=[f"x{k}" for k in range(1, 7)])
    frame = frame.assign(time=d["time"], event=d["event"].astype(float))
    return {
        "Harrell C with SE": seconds(lambda: concordance_index(d["time"], -d["risk"], d["event"])),
        "Kaplan-Meier": seconds(lambda: KaplanMeierFitter().fit(d["time"], d["event"])),
        "Cox, 6 covariates": seconds(lambda: CoxPHFitter().fit(frame, "time", "event")),
    }


def r_seconds(d: dict[str, np.ndarray]) -> dict[str, Cell]:
    """Seconds in R by statistic; says so where R or one of its packages is not installed."""
    if shutil.which("Rscript") is None:
        return dict.fromkeys(TASKS, NOT_INSTALLED)
    with tempfile.TemporaryDirectory() as folder:
        table, code = Path(folder) / "d.csv", Path(folder) / "time.R"
        names = ["time", "event", "risk", "other", *[f"x{k}" for k in range(1, 7)]]
        values = np.column_stack([d["time"], d["event"], d["risk"], d["other"], d["x"]])
        np.savetxt(table, values, delimiter=",", header=",".join(names), comments="")
        code.write_text(R_CODE)
        done = subprocess.run(["Rscript", code, table], capture_output=True, text=True, check=False)
    if done.returncode:
        return dict.fromkeys(TASKS, NOT_INSTALLED)
    lines = done.stdout.split()
    return {name: float(line) for name, line in zip(TASKS, lines, strict=True) if line != "NA"}


if __name__ == "__main__":
    sys.exit(main())

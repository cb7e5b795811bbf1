"""How the time of the statistics grows with the number of patients, beside other libraries on the same arrays.

    python benchmarks/statistics_speed.py --n 1000 10000 100000

Prints a Markdown table of seconds on one core (CPU time; for R, elapsed time within R). Columns of libraries that
lack a statistic, or whose time grows with the square of n, are left empty from ``--quadratic`` patients on. R is
called if ``Rscript`` with the packages survival and pROC is on the path.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.utils import concordance_index
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.metrics import concordance_index_censored, concordance_index_ipcw
from sksurv.nonparametric import kaplan_meier_estimator
from sksurv.util import Surv

from hccfeat.stats.concordance import concordance
from hccfeat.stats.coxmodel import cox_model
from hccfeat.stats.delong import paired_delong
from hccfeat.stats.km import product_limit
from hccfeat.stats.timedependent import Horizon, auc_at, brier_at

TASKS = ["Harrell C", "Uno C", "Kaplan-Meier", "paired DeLong", "AUC and Brier at t", "Cox, 6 covariates"]
R_CODE = """
suppressMessages({library(survival); library(pROC)})
d <- read.csv(commandArgs(TRUE)[1])
s <- function(e) cat(system.time(e)[["elapsed"]], "\\n")
s(concordance(Surv(time, event) ~ risk, d, reverse = TRUE))
s(concordance(Surv(time, event) ~ risk, d, reverse = TRUE, timewt = "n/G2"))
s(survfit(Surv(time, event) ~ 1, d))
s(roc.test(roc(d$event, d$risk, quiet = TRUE), roc(d$event, d$other, quiet = TRUE), method = "delong"))
cat("NA\\n")
s(coxph(Surv(time, event) ~ x1 + x2 + x3 + x4 + x5 + x6, d))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--quadratic", type=int, default=20_000, help="leave out quadratic libraries from here on")
    arguments = parser.parse_args()
    print("| statistic | n | hccfeat | scikit-survival | lifelines | R |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for n in arguments.n:
        data = simulated(n)
        columns = [ours(data), scikit_survival(data, n < arguments.quadratic), lifelines(data), r_seconds(data)]
        for name in TASKS:
            cells = " | ".join(f"{column[name]:.3f}" if name in column else "" for column in columns)
            print(f"| {name} | {n} | {cells} |", flush=True)
    return 0


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
    started = time.process_time()
    task()
    return time.process_time() - started


def ours(d: dict[str, np.ndarray]) -> dict[str, float]:
    time, event, risk = d["time"], d["event"], d["risk"]
    chance = 1 - np.exp(-0.5 * np.exp(risk))

    def at_horizon() -> None:
        at = Horizon(time, event, 0.5)
        auc_at(at, chance)
        brier_at(at, chance)

    return {
        "Harrell C": seconds(lambda: concordance(time, event, risk)),
        "Uno C": seconds(lambda: concordance(time, event, risk, weights="uno")),
        "Kaplan-Meier": seconds(lambda: product_limit(time, event).limits()),
        "paired DeLong": seconds(lambda: paired_delong(event, risk, d["other"])),
        "AUC and Brier at t": seconds(at_horizon),
        "Cox, 6 covariates": seconds(lambda: cox_model(time, event, d["x"])),
    }


def scikit_survival(d: dict[str, np.ndarray], quadratic: bool) -> dict[str, float]:
    outcome = Surv.from_arrays(d["event"], d["time"])
    found = {
        "Kaplan-Meier": seconds(lambda: kaplan_meier_estimator(d["event"], d["time"], conf_type="log-log")),
    }
    if quadratic:
        found["Harrell C"] = seconds(lambda: concordance_index_censored(d["event"], d["time"], d["risk"]))
        found["Uno C"] = seconds(lambda: concordance_index_ipcw(outcome, outcome, d["risk"]))
        found["Cox, 6 covariates"] = seconds(lambda: CoxPHSurvivalAnalysis(ties="efron").fit(d["x"], outcome))
    return found


def lifelines(d: dict[str, np.ndarray]) -> dict[str, float]:
    import pandas as pd

    frame = pd.DataFrame(d["x"], columns=[f"x{k}" for k in range(1, 7)])
    frame = frame.assign(time=d["time"], event=d["event"].astype(float))
    return {
        "Harrell C": seconds(lambda: concordance_index(d["time"], -d["risk"], d["event"])),
        "Kaplan-Meier": seconds(lambda: KaplanMeierFitter().fit(d["time"], d["event"])),
        "Cox, 6 covariates": seconds(lambda: CoxPHFitter().fit(frame, "time", "event")),
    }


def r_seconds(d: dict[str, np.ndarray]) -> dict[str, float]:
    """Seconds in R by statistic; empty where R or its packages are not installed."""
    if shutil.which("Rscript") is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        table, code = Path(folder) / "d.csv", Path(folder) / "time.R"
        names = ["time", "event", "risk", "other", *[f"x{k}" for k in range(1, 7)]]
        values = np.column_stack([d["time"], d["event"], d["risk"], d["other"], d["x"]])
        np.savetxt(table, values, delimiter=",", header=",".join(names), comments="")
        code.write_text(R_CODE)
        done = subprocess.run(["Rscript", code, table], capture_output=True, text=True, check=False)
    if done.returncode:
        return {}
    lines = done.stdout.split()
    return {name: float(line) for name, line in zip(TASKS, lines, strict=True) if line != "NA"}


if __name__ == "__main__":
    sys.exit(main())

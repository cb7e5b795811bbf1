"""Does the PPS model predict recurrence within one year on patients it has not seen? On simulated cohorts.

    python benchmarks/held_out.py --seeds 1 2 3 --pi 0 --out held_out.json
    python benchmarks/held_out.py --seeds 1 2 3 --pi 0 --permuted

Each seed is a cohort of 450 patients of whom half are held out (at least 150 are untreated and have a 1-year
label). With ``--permuted`` the outcomes are permuted among the patients before label selection and training: the
null. Beside the model stand mean colour alone and the oracle, the simulated aggressiveness itself, on the same
patients. All numbers are about SIMULATED patients. Exits with 1 if the claim of its arm does not hold.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from hccfeat.progress import set_quiet
from hccfeat.simulation.deliver import simulate
from hccfeat.stats.discrimination import bootstrap_auroc
from hccfeat.store.catalog import query
from hccfeat.study import Study, init_study, open_study

MODELS = ("pps_mlp", "clinical_logistic", "integrated_logistic", "xgboost", "mean_colour_logistic")
OUTCOMES = ["recurrence_months", "recurrence_event", "os_months", "os_event"]


def main() -> int:
    arguments = _arguments()
    set_quiet(True)
    arms = [_one_seed(arguments, seed) for seed in arguments.seeds]
    summary = {
        model: round(float(np.mean([arm["auroc"][model]["estimate"] for arm in arms])), 4)
        for model in (*MODELS, "oracle")
    }
    lower = float(np.mean([arm["auroc"]["pps_mlp"]["lower"] for arm in arms]))
    upper = float(np.mean([arm["auroc"]["pps_mlp"]["upper"] for arm in arms]))
    print(f"SIMULATED, pi {arguments.pi}, {'outcomes permuted' if arguments.permuted else 'outcomes as simulated'}")
    print(f"{'seed':>6} {'n':>4} {'events':>6} " + " ".join(f"{name:>22}" for name in (*MODELS, "oracle")))
    for arm in arms:
        cells = [arm["auroc"][name] for name in (*MODELS, "oracle")]
        texts = [f"{c['estimate']:.3f} ({c['lower']:.3f}-{c['upper']:.3f})" for c in cells]
        print(f"{arm['seed']:>6} {arm['n']:>4} {arm['events']:>6} " + " ".join(f"{text:>22}" for text in texts))
    print(f"{'mean':>6} {'':>4} {'':>6} " + " ".join(f"{summary[name]:>22.3f}" for name in (*MODELS, "oracle")))
    if arguments.permuted:
        holds = lower <= 0.5 <= upper
        print(f"mean interval of the PPS model {lower:.3f} to {upper:.3f}: {'covers' if holds else 'misses'} 0.5")
    else:
        holds = summary["pps_mlp"] >= 0.65 and lower > 0.5 and abs(summary["mean_colour_logistic"] - 0.5) <= 0.1
        colour = summary["mean_colour_logistic"]
        print(f"PPS {summary['pps_mlp']:.3f} (mean lower bound {lower:.3f}), colour {colour:.3f}")
    if arguments.out:
        arguments.out.write_text(
            json.dumps({"pi": arguments.pi, "permuted": arguments.permuted, "arms": arms}, indent=1)
        )
    return 0 if holds else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument(
        "--pi", type=float, default=0.0, help="share of recurrence times that disease does not decide"
    )
    parser.add_argument("--patients", type=int, default=450)
    parser.add_argument("--width", type=int, default=256, help="side of a core in pixels (64 px a patch)")
    parser.add_argument("--permuted", action="store_true")
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def _one_seed(arguments: argparse.Namespace, seed: int) -> dict[str, object]:
    started = time.time()
    with tempfile.TemporaryDirectory() as folder:
        hospital = Path(folder) / "hospital"
        overrides = {
            "pi": arguments.pi, "patients": arguments.patients, "images": 2 * arguments.patients,
            "external_patients": 2, "width_px": arguments.width,
        }  # fmt: skip
        simulate(hospital, "demo", seed, overrides)
        study = _study(Path(folder) / "study", hospital, arguments, seed)
        extracted = study.extract()
        run = study.analyze(("1y",))
        frame = query(
            study.folder,
            "SELECT p.model, p.patient_id, p.risk FROM prediction AS p "
            "WHERE p.run_id = ? AND p.split = 'held_out' ORDER BY p.patient_id",
            [run.run_id],
        )
        result = _scores(study, frame, hospital, seed)
    print(f"seed {seed}: {time.time() - started:.0f} s, {extracted.patches} patches", file=sys.stderr, flush=True)
    return result


def _study(folder: Path, hospital: Path, arguments: argparse.Namespace, seed: int) -> Study:
    study = init_study(folder, name="held-out", recipe=arguments.recipe)
    file = folder / "hccfeat.toml"
    file.write_text(file.read_text().replace("test_fraction = 0.2", "test_fraction = 0.5"))
    clinical = hospital / "internal" / "clinical.csv"
    if arguments.permuted:
        table = pl.read_csv(clinical, infer_schema=False)
        order = np.random.default_rng(seed).permutation(table.height)
        table.with_columns(table.select(OUTCOMES)[order]).write_csv(clinical)
    study = open_study(study.folder)
    study.ingest(
        "internal",
        clinical,
        slides=hospital / "internal" / "slides",
        manifest=hospital / "internal" / "manifest.csv",
    )
    return study


def _scores(study: Study, predictions: pl.DataFrame, hospital: Path, seed: int) -> dict[str, object]:
    """AUROC with a bootstrap of patients for every model and the oracle, on the same labelled patients."""
    outcome = query(study.folder, "SELECT patient_id, months, event FROM outcome WHERE outcome = 'recurrence'")
    early = (pl.col("event") & (pl.col("months") <= 12)).alias("y")
    labelled = outcome.with_columns(early).filter(pl.col("y") | (pl.col("months") >= 12))
    truth = pl.read_csv(hospital / "truth" / "patients.csv").select("patient_id", risk="aggressiveness")
    judged = labelled.join(predictions.select("patient_id").unique(), on="patient_id", how="semi")
    auroc = {}
    for model in (*MODELS, "oracle"):
        scores = truth if model == "oracle" else predictions.filter(pl.col("model") == model)
        joined = judged.join(scores.select("patient_id", "risk"), on="patient_id").sort("patient_id")
        assert joined.height == judged.height, model
        y, risk = joined["y"].to_numpy().astype(int), joined["risk"].to_numpy().astype(float)
        found = bootstrap_auroc(y, risk, resamples=1000, seed=seed)
        auroc[model] = {"estimate": found.value, "lower": found.lower, "upper": found.upper}
    return {"seed": seed, "n": judged.height, "events": int(judged["y"].sum()), "auroc": auroc}


if __name__ == "__main__":
    sys.exit(main())

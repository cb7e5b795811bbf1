"""Every number of the R reference beside hccfeat's, from the same CSV files.

    python -m benchmarks.r_comparison ../shared/data ../shared/reference
    python -m benchmarks.r_comparison ../shared/data ../shared/reference --write docs/r-comparison.md --check

Run from the checkout. Prints one row per block of the reference; ``--write`` makes the page with every number. A
number agrees if the relative difference is at most 1e-3 (1e-5 for closed forms), or the absolute difference at most
1e-6 where R's number is below 1e-3. With ``--check`` the exit status is 1 if one does not agree.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.r_values import ours

COMMAND = (
    "python -m benchmarks.r_comparison ../shared/data ../shared/reference --write docs/r-comparison.md --check"
)
CLOSED_FORMS = ("km", "logrank", "reverse_km_median_followup", "endpoint_12m", "roc_12m.n", "roc_12m.auc_tumorsize",
                "roc_12m.auc_vascularinvasion", "tcga_pfi.n", "tcga_pfi.events")  # fmt: skip
BLOCKS = {
    "cox_multivariable": ("survival::coxph", "Cox models of recurrence with Efron's and with Breslow's ties: "
                          "coefficients, standard errors, likelihood-ratio, Wald and score tests, Harrell's C"),
    "cox_univariable": ("survival::coxph", "the same for one variable each, Efron's ties"),
    "cox_univariable_12m": ("survival::coxph", "the same, recurrences after 12 months not counted"),
    "cox_os": ("survival::coxph", "Cox model of overall survival"),
    "cox_interaction": ("survival::coxph", "likelihood-ratio test of an interaction"),
    "cox_zph_km": ("survival::cox.zph", "score tests of proportional hazards, km transform"),
    "km": ("survival::survfit", "Kaplan-Meier: survival, Greenwood errors, log limits, medians with limits"),
    "logrank": ("survival::survdiff", "log-rank test"),
    "reverse_km_median_followup": ("survival::survfit", "median follow-up, reverse Kaplan-Meier"),
    "concordance": ("survival::concordance", "Harrell's and Uno's C with standard errors"),
    "endpoint_12m": ("base::sum", "who has a 12-month label"),
    "logistic_12m": ("stats::glm", "logistic model of recurrence within 12 months"),
    "roc_12m": ("pROC::roc.test", "AUROC with DeLong's interval, paired DeLong test"),
    "time_dependent": ("riskRegression::Score", "AUC and Brier score at 12 and 24 months with intervals, paired "
                       "difference of two models' AUC"),
    "calibration_12m_apparent": ("rms::val.prob", "calibration of the logistic model"),
    "calibration_12m": ("rms::val.prob", "calibration of distorted risks: intercept, slope, errors, in the large"),
    "tcga_pfi": ("riskRegression::Score", "TCGA-LIHC, progression-free interval, censored early: Uno's C, AUC and "
                 "Brier score at one and two years"),
}  # fmt: skip
LIBRARIES = ("numpy", "scipy", "statsmodels")
SMALL = 1e-3
PRINTED = 1e-10
"""R's numbers are kept with about eleven digits: a difference below this is that of the rounding."""
INTRODUCTION = f"""\
Made by `{COMMAND}`
and never edited; `tests/test_r_page.py` makes it again and compares. Both sides read the same rows: Li 2014
(`hepatoCellular.csv`, 227 patients) and TCGA-LIHC (`tcga_cdr_lihc.csv`).

An R number of 0.001 or more is compared by the relative difference: at most 1e-3, and at most 1e-5 for closed
forms. A smaller one is compared by the absolute difference: at most 1e-6. R's numbers are kept with about eleven
digits, so differences below 1e-10 are not told apart. The larger ones come from where the iteration ends: `glm`
stops at a relative change of the deviance of 1e-8, `coxph` at one of the log-likelihood of 1e-9; hccfeat goes on.
""".splitlines()
SIBLING_NAMES = ("term", "strata")
PARTS = {"lrt": ("chisq", "df", "p"), "wald": ("chisq", "df", "p"), "score": ("chisq", "df", "p"),
         "loglik": ("null", "fitted")}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One quantity: R's number, ours, and how far they are apart; ``label`` is its name for readers."""

    quantity: str
    r: float
    ours: float
    label: str = ""

    @property
    def block(self) -> str:
        """The entry of the reference that it is of."""
        return re.split(r"[.\[]", self.quantity)[0]

    @property
    def small(self) -> bool:
        """Whether the absolute difference is looked at."""
        return abs(self.r) < SMALL

    @property
    def difference(self) -> float:
        """Relative, or absolute where R's number is small."""
        gap = abs(self.ours - self.r)
        return gap if self.small else gap / abs(self.r)

    @property
    def limit(self) -> float:
        """Largest difference that counts as agreement."""
        return 1e-6 if self.small else 1e-5 if self.quantity.startswith(CLOSED_FORMS) else 1e-3

    @property
    def agrees(self) -> bool:
        """Whether the difference is within the limit; a missing number never is."""
        return bool(self.difference <= self.limit)


def rows(data: Path, reference: Path) -> list[Row]:
    """Compare every number of ``r_reference.json`` with ours.

    Parameters
    ----------
    data : Path
        Folder with ``hcc_li2014`` and ``tcga_lihc``.
    reference : Path
        Folder with ``r_reference.json``.

    Raises
    ------
    KeyError
        If we have a number that the reference lacks, or the reference a block that is not described here.
    """
    blocks = read_reference(reference)
    theirs = dict(_numbers(blocks))
    labels = [label for label, _ in _numbers(blocks, named=True)]
    found = dict(_numbers(ours(data)))
    if unknown := sorted(found.keys() - theirs.keys()) + sorted(blocks.keys() ^ BLOCKS.keys()):
        raise KeyError(f"not in the reference, or not described here: {', '.join(unknown)}")
    return [
        Row(name, value, found.get(name, float("nan")), label)
        for (name, value), label in zip(theirs.items(), labels, strict=True)
    ]


def read_reference(folder: Path, key: str | None = None) -> dict[str, Any]:
    """The blocks of ``r_reference.json``, or one of its other entries: ``versions``."""
    entries = json.loads((folder / "r_reference.json").read_text(encoding="utf-8"))
    about = {name: entries.pop(name) for name in ("source", "versions", "data")}
    return dict(about[key]) if key else dict(entries)


def _numbers(
    node: Any, name: str = "", *, named: bool = False, names: Sequence[str] = ()
) -> Iterator[tuple[str, float]]:
    """Names and values of all numbers of a nested structure; a list of one is its element, as in R.

    With ``named`` an element of a list is called by what R's neighbouring entries call it, not by its place.
    """
    if isinstance(node, dict):
        for key, value in node.items():
            names = _element_names(node, key) if named else ()
            yield from _numbers(value, f"{name}.{key}" if name else key, named=named, names=names)
    elif isinstance(node, list | tuple | np.ndarray):
        if len(node) == 1:
            yield from _numbers(node[0], name, named=named)
        else:
            for place, value in enumerate(node):
                own = names[place] if len(names) == len(node) else _own_name(value) if named else ""
                yield from _numbers(value, f"{name}[{own or place}]", named=named)
    elif not isinstance(node, str):
        yield name, float("nan") if node is None else float(node)


def _element_names(node: dict[str, Any], key: str) -> list[str]:
    """What the elements of a list are, by the entries beside it."""
    if key in PARTS:
        return list(PARTS[key])
    if key.endswith("_ci_delong"):
        return ["lower", "estimate", "upper"]
    value = node[key]
    if "stratum_of_time" in node and isinstance(value, list) and len(value) == len(node["times"]):
        return [f"{stratum}, {time}" for stratum, time in zip(node["stratum_of_time"], node["times"], strict=True)]
    return next((node[name] for name in SIBLING_NAMES if isinstance(node.get(name), list)), [])


def _own_name(value: Any) -> str:
    """What an element of a list calls itself: its variable, or model and time."""
    if not isinstance(value, dict):
        return ""
    return ", ".join(str(value[name]) for name in ("term", "model", "times") if name in value)


def page(table: Sequence[Row], versions: dict[str, str]) -> str:
    """The page with every number; equal on every machine, because it shows no digit below R's own."""
    lines = [
        "# Every number beside R",
        "",
        *INTRODUCTION,
        "",
        f"**{headline(table)}**",
        "",
        versions_line(versions, {name: version(name) for name in LIBRARIES}),
        "",
        *summary(table, versions),
        "",
        "## Every number",
    ]
    for block, (_, about) in BLOCKS.items():
        lines += ["", f"### {block}", "", f"{about[0].upper()}{about[1:]}.", "", *_block(table, block)]
    return "\n".join([*lines, ""])


def versions_line(versions: dict[str, str], libraries: dict[str, str]) -> str:
    """Which programs computed the numbers."""
    theirs = ", ".join(f"{name} {found}" for name, found in versions.items() if name != "R")
    mine = ", ".join(f"{name} {found}" for name, found in libraries.items())
    return f"Versions: {versions['R']} with {theirs}; hccfeat with {mine}."


def headline(table: Sequence[Row]) -> str:
    """How many numbers there are, how many are beyond the limits, and the worst differences."""
    beyond = sum(not row.agrees for row in table)
    worst = max((row for row in table if not row.small), key=_rank)
    small = max((row for row in table if row.small), key=_rank)
    return (
        f"{len(table)} numbers, {beyond} beyond the limits. Worst relative difference {_shown(worst.difference)}"
        f"{_of(worst)}; worst absolute difference of the numbers below {SMALL:g}: {_shown(small.difference)}"
        f"{_of(small)}."
    )


def summary(table: Sequence[Row], versions: dict[str, str]) -> list[str]:
    """One line per block: R's function and version, how many numbers, and the worst differences."""
    lines = [
        "| block | what | R | numbers | worst relative | worst absolute (R below 0.001) | verdict |",
        "| --- | --- | --- | ---: | ---: | ---: | --- |",
    ]
    for name, (function, about) in BLOCKS.items():
        members = [row for row in table if row.block == name]
        release = versions.get(function.split("::")[0], re.findall(r"[0-9.]+", versions["R"])[0])
        kinds = [[row for row in members if row.small is small] for small in (False, True)]
        shown = " | ".join(_shown(max(kind, key=_rank).difference) if kind else "" for kind in kinds)
        agree = all(row.agrees for row in members)
        lines.append(f"| {name} | {about} | {function} {release} | {len(members)} | {shown} | {_verdict(agree)} |")
    return lines


def _block(table: Sequence[Row], block: str) -> list[str]:
    lines = ["| quantity | R | hccfeat | difference | limit | |", "| --- | ---: | ---: | ---: | ---: | --- |"]
    for row in table:
        if row.block != block:
            continue
        label = row.label.removeprefix(block).removeprefix(".") or block
        limit = f"{_short(row.limit)} {'absolute' if row.small else 'relative'}"
        cells = [label, _number(row.r), _number(row.ours), _shown(row.difference), limit, _verdict(row.agrees)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _rank(row: Row) -> float:
    """Differences that are only R's rounding rank alike, and a missing number ranks highest."""
    return float("inf") if np.isnan(row.difference) else max(row.difference, PRINTED)


def _of(row: Row) -> str:
    return "" if row.difference < PRINTED else f" ({row.label})"


def _shown(difference: float) -> str:
    if np.isnan(difference):
        return "missing"
    return f"< {_short(PRINTED)}" if difference < PRINTED else _short(difference)


def _short(value: float) -> str:
    return f"{value:.0e}".replace("e-0", "e-")


def _number(value: float) -> str:
    """Eight digits; what is only rounding is not shown, for it differs between machines."""
    return f"< {_short(PRINTED)}" if 0 < abs(value) < PRINTED else f"{value:.8g}"


def _verdict(agrees: bool) -> str:
    return "equal" if agrees else "**differs**"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with hcc_li2014 and tcga_lihc")
    parser.add_argument("reference", type=Path, help="folder with r_reference.json")
    parser.add_argument("--write", type=Path, help="page with every number")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a number does not agree")
    arguments = parser.parse_args()
    table = rows(arguments.data, arguments.reference)
    versions = read_reference(arguments.reference, "versions")
    if arguments.write:
        arguments.write.write_text(page(table, versions), encoding="utf-8")
    print("\n".join([headline(table), "", *summary(table, versions)]))
    return int(arguments.check and not all(row.agrees for row in table))


if __name__ == "__main__":
    sys.exit(main())

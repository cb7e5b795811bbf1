"""Precision-recall and threshold metrics of the PPS risk (P1, Fig S8, S9)."""

from markupsafe import Markup

from hccfeat.analysis.models import PPS
from hccfeat.analysis.prognosis import precision_recall
from hccfeat.report.formatting import metric_label
from hccfeat.report.prognosis_figures import precision_recall_figure
from hccfeat.reproduction.blocks import Block, Figure, Table
from hccfeat.reproduction.judged import ESTIMATE, JudgedHorizon, columns, estimate_cells, printed_number
from hccfeat.reproduction.printed import printed

THRESHOLD_METRICS = ("accuracy", "precision", "recall", "f1")
TABLE3 = ("auroc", "auprc", *THRESHOLD_METRICS)


def precision_recall_blocks(found: list[JudgedHorizon]) -> list[Block]:
    """Average precision and precision-recall curves of the horizons in one place."""
    rows, data, curves = [], [], []
    for judged in found:
        estimate = judged.estimate("auprc", PPS)
        if estimate is None:
            continue
        cells, numbers = estimate_cells(estimate, _printed_metric(judged, "auprc"))
        rows.append({"endpoint": judged.judges.label, **cells})
        data.append({**judged.identity(PPS, "auprc"), **numbers})
        curve = precision_recall(judged.judges)
        if curve is not None:
            curves.append((curve, estimate))
    shown = columns(("endpoint", "Endpoint"), numbers=ESTIMATE) + columns(("method", "Method"))
    blocks: list[Block] = [Table(shown, rows, f"AUPR of the PPS risk, {found[0].where}", data=data)]
    if curves:
        points = [
            {"endpoint": curve.label, "recall": float(x), "precision": float(y)}
            for curve, _ in curves
            for x, y in zip(curve.recall, curve.precision, strict=True)
        ]

        def draw(key: str, simulated: bool) -> Markup:
            return precision_recall_figure(key, curves, title="PPS risk", simulated=simulated)

        blocks.append(Figure(draw, f"Precision-recall curves of the PPS risk, {found[0].where}.", points))
    return blocks


def _printed_metric(judged: JudgedHorizon, metric: str) -> float | None:
    """What the paper prints for a metric of PPS: Table 3 inside; outside, AUPR."""
    if judged.place == "held_out":
        values = printed("table3", "pps", judged.endpoint)
        return None if values is None else float(values[TABLE3.index(metric)])
    return printed_number("prognosis", "external", f"{metric}_{judged.endpoint}")


def threshold_blocks(found: list[JudgedHorizon]) -> list[Block]:
    """Accuracy, precision, recall and F1 at the fixed threshold, beside P1's Table 3."""
    rows, data = [], []
    for judged in found:
        for metric in THRESHOLD_METRICS:
            estimate = judged.estimate(metric, PPS)
            if estimate is None:
                continue
            cells, numbers = estimate_cells(estimate, _printed_metric(judged, metric))
            rows.append({"metric": metric_label(metric), "endpoint": judged.judges.label, **cells})
            data.append({**judged.identity(PPS, metric), **numbers})
    shown = columns(("metric", "Metric"), numbers=ESTIMATE) + columns(("method", "Method"))
    caption = f"PPS risk at a threshold (P1 reading 29), {found[0].where}"
    return [Table(shown, rows, caption, group="endpoint", data=data)] if rows else []

"""What a simulated delivery's truth says about the tissue of each patch; read for evidence only."""

from pathlib import Path

import polars as pl

from hccfeat.errors import AnalysisError, InputError

EXPECTED = {"nuclear_area_um2": 1, "nuclei_per_mm2": 1, "lymphocytes_per_mm2": -1}
"""Measures of a patch, and the sign of their relation to recurrence in the generator."""
EDGE_SHARE = 0.1
"""As in the truth: an edge patch holds at least this share of both tumour and adjacent liver."""


def read_truth(path: Path) -> pl.DataFrame:
    """Read a table of the truth.

    Raises
    ------
    InputError
        If it is not there.
    """
    if not path.is_file():
        raise InputError(str(path), "is not there", "Give the truth/ folder of the simulated delivery.")
    return pl.read_csv(path, schema_overrides=dict.fromkeys(EXPECTED, pl.Float64))


def with_truth(risks: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """Give every patch what is known of its tissue, merging the cells of a finer grid.

    Parameters
    ----------
    risks : DataFrame
        As of :func:`hccfeat.analysis.patch_risks.patch_risks`; other columns are kept.
    truth : DataFrame
        Rows of ``truth/patches.csv``.

    Returns
    -------
    DataFrame
        ``risks`` with the measures (null where there is no nucleus or tissue) and ``compartment``; patches whose
        image the truth does not know are left out.

    Raises
    ------
    AnalysisError
        If a patch is smaller than a cell of the truth's grid.
    """
    sides = risks.group_by("image_id").agg(pl.col("side").first())
    step = truth.filter(pl.col("x") > 0).group_by("image_id").agg(step=pl.col("x").min())
    if sides.join(step, on="image_id").filter(pl.col("side") < pl.col("step")).height:
        raise AnalysisError(
            "truth of the patches",
            "is coarser than the patches",
            "Simulate with patch_um of at most a patch's side.",
        )
    corner = {name: pl.col(name) // pl.col("side") * pl.col("side") for name in ("x", "y")}
    cells = truth.join(sides, on="image_id").with_columns(**corner).drop("side")
    place = ["image_id", "x", "y"]
    tissue, nuclei = pl.col("tissue_share"), (pl.col("tissue_share") * pl.col("nuclei_per_mm2"))
    merged = cells.group_by(place, maintain_order=True).agg(
        nuclear_area_um2=(pl.col("nuclear_area_um2") * nuclei).sum() / nuclei.sum(),
        nuclei_per_mm2=nuclei.sum() / tissue.sum(),
        lymphocytes_per_mm2=(pl.col("lymphocytes_per_mm2") * tissue).sum() / tissue.sum(),
        background=tissue.mean() < 0.5,
        edge=pl.min_horizontal(pl.col("tumour_share").mean(), pl.col("adjacent_share").mean()) >= EDGE_SHARE,
    )
    commonest = (
        cells.filter(~pl.col("compartment").is_in(["background", "edge"]))
        .group_by([*place, "compartment"], maintain_order=True)
        .agg(tissue.sum())
        .sort([*place, "tissue_share", "compartment"], descending=[False, False, False, True, False])
        .group_by(place, maintain_order=True)
        .agg(commonest=pl.col("compartment").first())
    )
    named = merged.join(commonest, on=place, how="left").with_columns(
        pl.col(name).fill_nan(None) for name in EXPECTED
    )
    kind = pl.when("background").then(pl.lit("background")).when("edge").then(pl.lit("edge"))
    named = named.with_columns(compartment=kind.otherwise(pl.col("commonest")))
    return risks.join(named.drop("background", "edge", "commonest"), on=place, how="inner", maintain_order="left")

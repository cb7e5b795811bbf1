"""Items 16 and 38 (Fig 3A, Figure S5): where the encoder looks. Item 17 is in ``risk_maps``."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hccfeat.errors import ConfigError
from hccfeat.explanation.cam import channel_contributions, grad_cam, gradient_map
from hccfeat.explanation.channels import ChannelRanking, attention_weights, rank_channels
from hccfeat.explanation.drawing import GridRow, grid, heat_over, heat_picture, signed_over
from hccfeat.models import Encoder
from hccfeat.report.formatting import MISSING, fixed
from hccfeat.report.tables import Column
from hccfeat.reproduction.blocks import Block, Item, Note, Picture, Table
from hccfeat.reproduction.context import Context
from hccfeat.reproduction.items.judged_patches import (
    OUTCOMES,
    encoder_of,
    judged_patches,
    of_most_patients,
    pixels,
    prepared,
    probabilities_under,
)
from hccfeat.reproduction.items.risk_maps import risk_maps
from hccfeat.reproduction.printed import printed
from hccfeat.stats.estimate import count

SHOWN = 4
"""Patches of the highest and of the lowest risk, for each outcome."""
RANKED = 4
"""Patches of the first image of each patient, whose channels are ranked."""
EXTREMES = 5
READING = (
    "Grad-CAM: brighter places moved the logit of recurrence up more; a map without such a place is dark. Gradient "
    "x activation keeps its sign: vermilion places raise the logit, blue ones lower it. Each map is scaled to its "
    "own largest value, so that colours compare places of one patch, not patches. A map shows what this encoder "
    "used, not what causes recurrence."
)
LAYER_NORM = (
    "Behind the feature maps of this encoder stands a LayerNorm over the positions: the gradient through it has "
    "mean zero over the positions, and these means are Grad-CAM's weights. Grad-CAM then shows only what passes "
    "through the attention itself; gradient x activation takes no such mean."
)


def grad_cam_triplets(context: Context) -> list[Block]:
    """Item 16, Fig 3A: patches of held-out patients with and without recurrence, and their Grad-CAM."""
    encoder = encoder_of(context)
    patches = judged_patches(context, "held_out")
    blocks: list[Block] = [Note(READING)]
    for relapsed, outcome in OUTCOMES.items():
        mine = patches.filter(pl.col("relapsed") == relapsed)
        if mine.is_empty():
            blocks.append(Note(f"No held-out patient with {outcome} has a usable patch.", "info"))
            continue
        count_each = min(SHOWN, mine.height // 2) or 1
        chosen = [of_most_patients(mine, count_each, highest=highest) for highest in (True, False)]
        both = pl.concat(chosen)
        shown = pixels(context, both)
        maps, gradients = grad_cam(encoder, shown), gradient_map(encoder, "maps", shown)
        image = grid(
            [
                GridRow("patch", list(shown)),
                GridRow("Grad-CAM", [heat_picture(heat) for heat in maps]),
                GridRow(
                    "over the patch", [heat_over(patch, heat) for patch, heat in zip(shown, maps, strict=True)]
                ),
                GridRow("gradient × map", _signed(shown, gradients)),
            ],
            captions=probabilities_under(both),
            groups=[("highest patch risk", count_each), ("lowest patch risk", count_each)],
            simulated=context.simulated,
        )
        patients = count(both["patient_id"].n_unique(), "held-out patient")
        caption = (
            f"Patients with {outcome} ({patients}): stain-normalised patches, Grad-CAM of the last feature maps "
            "for recurrence (P1 reading 37), and gradient x activation of the same maps; below, the patch's risk"
        )
        blocks.append(Picture(image, caption))
    if getattr(encoder, "csa", None) is not None:
        blocks.append(Note(LAYER_NORM, "info"))
    return blocks


def attention(context: Context) -> list[Block]:
    """Item 38, Figure S5: maps of CSA and SSA, and the channels that CSA attends to most and least."""
    encoder = encoder_of(context)
    patches = judged_patches(context, "held_out")
    blocks: list[Block] = [_layers(context, encoder, patches)]
    blocks.append(Note(READING))
    try:
        blocks += _channels(context, encoder, patches)
    except ConfigError as error:
        blocks.append(Note(str(error), "info"))
    return blocks


def _heated(patches: NDArray[np.uint8], maps: NDArray[np.float32]) -> list[NDArray[np.uint8]]:
    return [heat_over(patch, heat) for patch, heat in zip(patches, maps, strict=True)]


def _signed(patches: NDArray[np.uint8], maps: NDArray[np.float32]) -> list[NDArray[np.uint8]]:
    return [signed_over(patch, values) for patch, values in zip(patches, maps, strict=True)]


def _layers(context: Context, encoder: Encoder, patches: pl.DataFrame) -> Block:
    """A grid of the same patches under each layer's map; a layer that this encoder lacks has no row."""
    chosen, groups = [], []
    for relapsed, outcome in OUTCOMES.items():
        mine = patches.filter(pl.col("relapsed") == relapsed)
        best = of_most_patients(mine, min(SHOWN, mine.height), highest=relapsed == 1)
        if best.height:
            chosen.append(best)
            groups.append((outcome, best.height))
    both = pl.concat(chosen)
    shown = pixels(context, both)
    rows = [GridRow("patch", list(shown)), GridRow("Grad-CAM", _heated(shown, grad_cam(encoder, shown)))]
    for layer, label in (("csa", "CSA"), ("ssa", "SSA")):
        try:
            rows.append(GridRow(label, _signed(shown, gradient_map(encoder, layer, shown))))  # type: ignore[arg-type]
        except ConfigError:
            continue
    image = grid(rows, captions=probabilities_under(both), groups=groups, simulated=context.simulated)
    caption = (
        "The patches of highest risk of held-out patients with recurrence and of lowest risk of those without: "
        "Grad-CAM of the last feature maps; gradient x activation at the output of the channel (CSA) and spatial "
        "(SSA) attention, summed over channels (P1 reading 37); below, the patch's risk"
    )
    return Picture(image, caption)


def _channels(context: Context, encoder: Encoder, patches: pl.DataFrame) -> list[Block]:
    first = patches.group_by("patient_id").agg(pl.col("image_id").min())
    chosen = patches.join(first, on=["patient_id", "image_id"], how="semi", maintain_order="left").filter(
        pl.int_range(pl.len()).over("image_id") < RANKED
    )
    weights, contributions, owners = [], [], []
    for (image_id,), rows in chosen.group_by("image_id", maintain_order=True):
        shown = prepared(context, str(image_id)).patches[rows["row"].to_numpy()]
        weights.append(attention_weights(encoder, shown))
        contributions.append(channel_contributions(encoder, shown))
        owners += rows["patient_id"].to_list()
    ranking = rank_channels(np.concatenate(weights), owners)
    signed = rank_channels(np.concatenate(contributions), owners)
    return [_channel_table(ranking, signed), Note(_channel_note(ranking))]


def _channel_table(ranking: ChannelRanking, signed: ChannelRanking) -> Table:
    channels = len(ranking.mean)
    extremes = min(EXTREMES, channels // 2)
    data = [
        {
            "group": "highest weight" if place < extremes else "lowest weight",
            "channel": int(ranking.order[place]),
            "rank": place + 1,
            "weight_of_mean": float(ranking.mean[ranking.order[place]] * channels),
            "sd_over_patients": None if ranking.sd is None else float(ranking.sd[ranking.order[place]] * channels),
            "contribution": float(signed.mean[ranking.order[place]]),
            "patients": ranking.patients,
            "patches": ranking.patches,
        }
        for place in [*range(extremes), *range(channels - extremes, channels)]
    ]
    printed_channels = {
        "highest weight": _listed(printed("s5", "highest_channels")),
        "lowest weight": _listed(printed("s5", "lowest_channels")),
    }
    rows: list[dict[str, Any]] = [
        {
            **row,
            "channel": str(row["channel"]),
            "rank": f"{row['rank']} of {channels}",
            "weight": fixed(row["weight_of_mean"], 4),
            "sd": fixed(row["sd_over_patients"], 4),
            "contribution": f"{row['contribution']:+.1e}",
            "printed": printed_channels[row["group"]],
            "difference": "another network",
        }
        for row in data
    ]
    columns = [
        Column("channel", "Channel", help="number of the feature map, from 0"),
        Column("rank", "Rank"),
        Column("weight", "Weight", "right", "attention received in CSA; 1 is the mean of all channels"),
        Column("sd", "SD", "right", "over patients"),
        Column("contribution", "Contribution", "right", "gradient x activation at the output of CSA, to the logit"),
        Column("printed", "Printed"),
        Column("difference", "Difference"),
    ]
    about = f"{count(ranking.patches, 'patch', 'patches')} of {count(ranking.patients, 'held-out patient')}"
    caption = f"Channels by the attention they receive in CSA, mean over heads, queries and patients ({about})"
    return Table(columns, rows, caption, "group", data)


def _channel_note(ranking: ChannelRanking) -> str:
    channels = len(ranking.mean)
    spread = f"{ranking.mean.min() * channels:.4f} to {ranking.mean.max() * channels:.4f}"
    return (
        f"Weights run from {spread} times the mean. A channel's number means something within one trained network "
        "only, for the initial weights decide it: the printed numbers and these cannot be compared, and neither "
        "can those of two trainings."
    )


def _listed(channels: Sequence[int] | None) -> str:
    return MISSING if channels is None else ", ".join(map(str, channels))


ITEMS: tuple[Item, ...] = (
    Item(16, "Fig 3A", "Grad-CAM of patches with and without recurrence", grad_cam_triplets),
    Item(17, "Fig 3B-C", "Whole-slide risk maps at four thresholds", risk_maps),
    Item(38, "S5", "Attention maps of CSA and SSA, and channel weights", attention),
)

"""Item 15: which training subset - by inner cross-validation, by the external patients, or fixed."""

from collections.abc import Sequence

from hccfeat.analysis.judges import Level
from hccfeat.analysis.selection import Choice, external_choice, inner_choice
from hccfeat.report.formatting import MISSING, fixed
from hccfeat.reproduction.blocks import Block, Note
from hccfeat.reproduction.context import Context
from hccfeat.reproduction.judged import printed_text
from hccfeat.reproduction.subset_bench import NO_EXTERNAL, Entry, bench_of, model_name, scores_table

INNER_LEVELS: tuple[Level, ...] = ("patient", "image", "patch")
OUTER_LEVELS: tuple[Level, ...] = ("patch", "image")
RULE = "patient"
"""Level that decides the inner rule: the patient is what a risk is given for."""


def optimal_subset(context: Context) -> list[Block]:
    """Three rules side by side, and which of them this study follows (P1 reading 20)."""
    bench, chosen = bench_of(context), context.preset.chosen
    inner = [inner_choice(bench, chosen, level) for level in INNER_LEVELS]
    outer = [external_choice(bench, chosen, level) for level in OUTER_LEVELS] if context.external else []
    fixed_subset = context.recipe.training.subset
    decided = next(choice for choice in inner if choice.level == RULE)
    blocks: list[Block] = [
        Note(
            f"This study uses subset {fixed_subset}: the recipe {context.recipe.name} fixes it beforehand (the "
            f"paper uses {printed_text('chosen', 'subset')}). The rules below do not change it."
        ),
        Note(_inner_text(decided)),
        _table(inner, f"{model_name(chosen)}: inner rule, all patients of each fold with their raw labels"),
    ]
    if not outer:
        return [*blocks, Note(NO_EXTERNAL, "caution")]
    blocks += [
        Note(_outer_text(outer[0]), "caution"),
        _table(outer, f"{model_name(chosen)}: the paper's rule, the strict external subset"),
    ]
    return blocks


def _inner_text(choice: Choice) -> str:
    start = (
        "Inner rule: every subset's fold encoders are judged on the same unselected patients of each fold, all of "
        "them training patients of the frozen split; the highest mean patient-level AUROC wins. "
    )
    return start + _verdict(choice)


def _outer_text(choice: Choice) -> str:
    start = (
        "The paper's rule looks at the external cohort and gives no formula; here the subset with the highest "
        "patch-level AUROC on the strict external subset wins. "
    )
    end = (
        " Whoever selects by these patients has used them: they are then no longer external, and the scores of the "
        "subset so chosen are too good."
    )
    return start + _verdict(choice) + end


def _verdict(choice: Choice) -> str:
    if choice.chosen is None:
        return f"Nothing is picked: {choice.reason}."
    best = next(candidate for candidate in choice.candidates if candidate.subset == choice.chosen)
    share = MISSING if best.share is None else f"{100 * best.share:.0f} %"
    left = "" if len(choice.candidates) == 6 else f" of the {len(choice.candidates)} subsets run"
    return (
        f"It picks {choice.chosen}{left}, which comes first in {share} of {choice.resamples} resamples of the "
        f"patients ({100 / len(choice.candidates):.0f} % would be chance)."
    )


def _table(choices: Sequence[Choice], caption: str) -> Block:
    entries, extra = [], []
    for choice in choices:
        for candidate in choice.candidates:
            mark = " (picked)" if candidate.subset == choice.chosen else ""
            estimate = candidate.scored.estimate
            entries.append(Entry(f"{choice.level.capitalize()} level", candidate.subset + mark, candidate.scored))
            extra.append(
                {
                    "SE": fixed(None if estimate is None else estimate.standard_error),
                    "Comes first": MISSING if candidate.share is None else f"{100 * candidate.share:.0f} %",
                }
            )
    table = scores_table(entries, "Trained on", caption, extra)
    picked = [
        {"share_first": candidate.share, "picked": candidate.subset == choice.chosen}
        for choice in choices
        for candidate in choice.candidates
    ]
    for row, more in zip(table.data, picked, strict=True):
        row |= more
    return table

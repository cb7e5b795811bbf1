"""Which image of the study a file of another tool is about."""

import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hccfeat.exchange.bag import FoundFile

COMPOUND = (".ome", ".svs", ".ndpi", ".mrxs", ".tif", ".tiff")
"""What may stand between the stem of a slide and the suffix of a file of features."""


@dataclass
class Matches:
    """Files by image, and what could not be matched.

    Attributes
    ----------
    files : dict
        Image id -> its file.
    problems : list of dict
        ``entity``, ``problem`` and ``remedy`` of files that are left out.
    without : list of str
        Images asked for that no file is about.
    """

    files: dict[str, FoundFile] = field(default_factory=dict)
    problems: list[dict[str, str]] = field(default_factory=list)
    without: list[str] = field(default_factory=list)


def match(files: Sequence[FoundFile], image_ids: Sequence[str]) -> Matches:
    """Match files to images by the image id, or by the stem of the slide's file.

    A file whose stem several images have, and several files of one image, are left out: nothing is guessed.

    Parameters
    ----------
    files : sequence of FoundFile
        What was found.
    image_ids : sequence of str
        Images (``<cohort>/<stem>``) that may be meant.
    """
    result = Matches()
    by_name = _names(image_ids)
    claims: dict[str, list[FoundFile]] = defaultdict(list)
    for file in files:
        meant = next((by_name[name] for name in _variants(file.name) if name in by_name), [])
        if len(meant) == 1:
            claims[meant[0]].append(file)
            continue
        problem = "no image of the study has this name"
        remedy = "Ingest the slide, or give the file the name of its slide."
        if meant:
            problem = f"images of several cohorts have this name ({', '.join(meant)})"
            remedy = "Import each cohort on its own with --cohort."
        result.problems.append(_problem(file, problem, remedy))
    for image_id, found in claims.items():
        if len(found) == 1:
            result.files[image_id] = found[0]
            continue
        for file in found:
            others = ", ".join(str(other.path) for other in found if other is not file)
            problem = f"is about {image_id}, and so is {others}"
            result.problems.append(_problem(file, problem, "Remove all but one; none of them is taken."))
    result.without = sorted(set(image_ids) - set(claims))
    return result


def _problem(file: FoundFile, problem: str, remedy: str) -> dict[str, str]:
    inside = "" if file.rows is None else f", image {file.name}"
    return {"entity": f"{file.path}{inside}", "problem": problem, "remedy": remedy}


def _names(image_ids: Sequence[str]) -> Mapping[str, list[str]]:
    """Images by id and by stem; a stem without ``.ome`` counts where no other image has it."""
    found: dict[str, list[str]] = defaultdict(list)
    for image_id in sorted(set(image_ids)):
        found[_nfc(image_id)].append(image_id)
        found[_nfc(image_id.partition("/")[2])].append(image_id)
    for image_id in sorted(set(image_ids)):
        short = Path(_nfc(image_id.partition("/")[2]))
        if short.suffix in COMPOUND and short.stem not in found:
            found[short.stem] = [image_id]
    return found


def _variants(name: str) -> list[str]:
    """A name as it is, and without what another tool left of the slide's suffix."""
    whole = _nfc(name)
    path = Path(whole)
    return [whole, path.stem] if path.suffix.lower() in COMPOUND else [whole]


def _nfc(text: Any) -> str:
    return unicodedata.normalize("NFC", str(text))

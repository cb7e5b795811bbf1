"""What ``hccfeat import`` is asked for, which files it concerns, and what feature set they make."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from hccfeat.config import NAME_PATTERN, ExchangeFormat, ImportedRecipe, PrognosticRecipe
from hccfeat.errors import HccfeatError, InputError
from hccfeat.exchange.bag import Facts, FoundFile, contradicts
from hccfeat.exchange.formats import READERS
from hccfeat.exchange.matching import Matches, match
from hccfeat.exchange.placing import Image, agreement, disagreement
from hccfeat.extraction.outcomes import Failure, failure_kind
from hccfeat.files import sha256_of, sha256_of_file
from hccfeat.store.catalog import query

NONE = "none"
"""As the only cohort seen: the network was trained elsewhere."""

_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class ImportRequest:
    """What the command line asks of ``import``.

    Attributes
    ----------
    paths : tuple of Path
        Folders or files.
    layout : str
        Format of :data:`hccfeat.exchange.formats.READERS`.
    base : str
        Name of the feature set; with a version (``uni-1``) files are added to that one.
    cohorts : tuple of str
        Cohorts whose images may be meant; empty takes all.
    encoder : str or None
        Name of the network; needed where the files do not say.
    weights_sha256 : str or None
        Of the network's weights, as declared.
    seen : tuple of str
        Cohorts that trained the network, as declared; empty or ``none`` for none of this study.
    coords : Path or None
        CLAM's folder ``patches/``.
    allow_missing : bool
        Take vectors without coordinates.
    dry_run : bool
        Only match files with images.
    """

    paths: tuple[Path, ...]
    layout: ExchangeFormat
    base: str
    cohorts: tuple[str, ...] = ()
    encoder: str | None = None
    weights_sha256: str | None = None
    seen: tuple[str, ...] = ()
    coords: Path | None = None
    allow_missing: bool = False
    dry_run: bool = False


@dataclass
class ImportPlan:
    """Files by image that agree with each other, those that failed, and what could not be matched."""

    files: dict[str, FoundFile]
    images: dict[str, Image]
    agreed: Facts
    failures: list[Failure] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)
    without: list[str] = field(default_factory=list)


def checked(study: Path, request: ImportRequest) -> ImportRequest:
    """Refuse wrong options.

    Raises
    ------
    InputError
        Naming the option.
    """
    if request.layout not in READERS:
        raise InputError(f"--format {request.layout}", "cannot be imported", f"Use {', '.join(READERS)}.")
    if not NAME_PATTERN.fullmatch(request.base):
        remedy = "Use lower-case letters, digits, - and _."
        raise InputError(f"--features {request.base}", "is no name", remedy)
    if request.coords is not None and request.layout != "clam":
        raise InputError(f"--coords {request.coords}", "is for CLAM", "Leave it out, or give --format clam.")
    declared = request.weights_sha256
    if declared is not None and (len(declared) != 64 or not _HEX.issuperset(declared.lower())):
        remedy = "Give the 64 hexadecimal digits that `sha256sum` prints for the weights file."
        raise InputError(f"--weights-sha256 {declared}", "is no SHA-256", remedy)
    seen = () if request.seen == (NONE,) else tuple(sorted(set(request.seen)))
    known = query(study, "SELECT cohort FROM cohort ORDER BY cohort")["cohort"].to_list()
    for option, cohorts in (("--cohort", request.cohorts), ("--seen", seen)):
        for name in cohorts:
            if name not in known:
                raise InputError(
                    f"{option} {name}", "is not in the study", f"Cohorts: {', '.join(known) or 'none'}."
                )
    for path in request.paths:
        if not path.exists():
            raise InputError(str(path), "does not exist", "Give a folder or a file of features.")
    return replace(request, weights_sha256=declared.lower() if declared else None, seen=seen)


def plan_import(study: Path, request: ImportRequest) -> ImportPlan:
    """Find the files, match them with images, and see whether they are of one network.

    Raises
    ------
    InputError
        If there are no files, no images, or none of them belong together.
    """
    reader = READERS[request.layout]
    files = [file for path in request.paths for file in reader.find(path, request.coords)]
    images = _images(study, request.cohorts)
    found = match(files, list(images))
    if not found.files:
        raise _no_match(found, files, list(images))
    facts: dict[str, Facts] = {}
    failures: list[Failure] = []
    for image_id, file in sorted(found.files.items()):
        try:
            facts[image_id] = reader.facts(file)
        except Exception as error:  # whatever a damaged file makes a library raise: the others go on
            failures.append(failure_of(image_id, file, error))
    agreed = agreement(facts)
    if request.encoder is not None:
        agreed = replace(agreed, encoder=request.encoder)
    kept: dict[str, FoundFile] = {}
    for image_id, own in facts.items():
        file = found.files[image_id]
        if against := disagreement(own, agreed):
            apart = contradicts(file.path, f"says {against}", "Import files of one network under one name.")
            failures.append(failure_of(image_id, file, apart))
        else:
            kept[image_id] = file
    return ImportPlan(kept, images, agreed, failures, found.problems, found.without)


def failure_of(image_id: str, file: FoundFile, error: Exception) -> Failure:
    """Type what went wrong with one file; errors that are not our own get the file's name."""
    message = str(error) if isinstance(error, HccfeatError) else f"{file.path}: {type(error).__name__}: {error}"
    return Failure(image_id, failure_kind(error), message)


def _images(study: Path, cohorts: Sequence[str]) -> dict[str, Image]:
    rows = query(
        study,
        "SELECT image_id, cohort, mpp, mpp_source, width, height FROM image "
        "WHERE coalesce(modality, 'slide') = 'slide' ORDER BY image_id",
    )
    if cohorts:
        rows = rows.filter(pl.col("cohort").is_in(cohorts))
    if rows.is_empty():
        entity = ", ".join(cohorts) or str(study)
        raise InputError(entity, "has no images", "Ingest a cohort with --slides first.")
    return {row["image_id"]: Image(**row) for row in rows.drop("cohort").to_dicts()}


def _no_match(found: Matches, files: list[FoundFile], images: list[str]) -> InputError:
    reason = found.problems[0]["problem"] if found.problems else "nothing was found"
    problem = f"matches no image: {len(files)} files such as {files[0].name}, images such as {images[0]} ({reason})"
    return InputError(str(files[0].path.parent), problem, "Features are matched by the stem of the slide's file.")


def origin(request: ImportRequest, plan: ImportPlan, prognostic: PrognosticRecipe) -> ImportedRecipe:
    """Declare where the vectors come from.

    Without declared weights their content stands for the network: other files then are another feature set.

    Raises
    ------
    InputError
        If no file can be imported, or nothing names the network.
    """
    if not plan.files:
        why = plan.failures[0].message
        raise InputError(f"{len(plan.failures)} files", f"cannot be imported, none is left; the first: {why}", "")
    if plan.agreed.encoder is None:
        problem = f"is needed: {request.layout} files do not say which network made them"
        raise InputError("--encoder", problem, "Give the network's name and version.")
    if plan.agreed.dim is None:
        raise InputError(
            ", ".join(map(str, request.paths)), "holds only empty slides", "Import a folder with features."
        )
    content = None
    if request.weights_sha256 is None:
        paths = {path for file in plan.files.values() for path in (file.path, file.coords) if path is not None}
        digests = {path: sha256_of_file(path) for path in sorted(paths)}
        content = sha256_of(
            [
                [image_id, digests[file.path], file.coords and digests[file.coords], file.rows]
                for image_id, file in sorted(plan.files.items())
            ]
        )
    return ImportedRecipe(
        name=request.base,
        format=request.layout,
        encoder=plan.agreed.encoder,
        weights_sha256=request.weights_sha256,
        content_sha256=content,
        source_dtype=plan.agreed.dtype or "float32",
        coordinates="micrometres" if request.layout == "stamp" else "level-0 pixels",
        seen=request.seen,
        prognostic=prognostic,
    )

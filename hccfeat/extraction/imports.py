"""``hccfeat import``: features of another tool become a feature set like any other."""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hccfeat.config import ImportedRecipe, StudyConfig, load_recipe
from hccfeat.errors import InputError
from hccfeat.exchange.bag import contradicts
from hccfeat.exchange.formats import READERS
from hccfeat.exchange.hdf5 import opened
from hccfeat.exchange.placing import place
from hccfeat.extraction import feature_sets, provenance
from hccfeat.extraction.identity import FeatureSet, feature_set_row
from hccfeat.extraction.import_plan import ImportPlan, ImportRequest, checked, failure_of, origin, plan_import
from hccfeat.extraction.outcomes import Failure
from hccfeat.extraction.session import record_failures
from hccfeat.files import quick_hash, write_text_atomically
from hccfeat.progress import progress_bar
from hccfeat.store.build import batches
from hccfeat.store.committer import Committer
from hccfeat.store.shards import Shard, ShardInfo, shard_path, write_shard

__all__ = ["ImportRequest", "ImportSummary", "import_features"]

SOURCE = "imported_quick_sha256"
"""Attribute of a shard: hash of size, first and last MiB of the file it came from."""


@dataclass
class ImportSummary:
    """What ``import`` did; ``problems`` are files without an image, ``without`` images without a file."""

    feature_set: str
    encoder: str
    dim: int
    seen: tuple[str, ...]
    todo: int = 0
    imported: int = 0
    already_done: int = 0
    empty: int = 0
    patches: int = 0
    failures: list[Failure] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)
    without: list[str] = field(default_factory=list)


def import_features(study: Path, config: StudyConfig, request: ImportRequest) -> ImportSummary:
    """Bring another tool's features into the store; a slide that cannot be imported does not stop the others.

    Running it again goes on where it was stopped; files that are there already are left alone.

    Parameters
    ----------
    study : Path
        Study folder.
    config : StudyConfig
        Its recipe of slides says how prognostic networks are fitted on the vectors.
    request : ImportRequest
        What to import.

    Returns
    -------
    ImportSummary
        Counts, failures, and files and images without a counterpart.

    Raises
    ------
    InputError
        If an option is wrong, no file matches an image, or the files do not name their network.
    StudyBusyError
        If another process writes to the study.
    """
    request = checked(study, request)
    if request.dry_run:
        plan = plan_import(study, request)
        summary = _summary("", plan, request)
        summary.todo = len(plan.files)
        return summary
    started = time.time()
    with Committer(study) as committer:
        committer.publish()
        plan = plan_import(study, request)
        recipe = origin(request, plan, load_recipe(config.recipe, study).prognostic)
        feature_set = _feature_set(study, committer, request, recipe, plan)
        summary = _summary(feature_set.name, plan, request)
        committer.adopt_found(feature_set.name)
        done = committer.done_images(feature_set.name)
        with progress_bar(f"Importing {feature_set.name}", len(plan.files)) as advance:
            for batch in batches(_shards(study, feature_set, request, plan, done, summary, advance)):
                committer.adopt(batch)
        failed = {failure.image_id: failure for failure in summary.failures if failure.image_id not in done}
        record_failures(committer, feature_set.name, {*plan.files, *failed} - done, failed)
        if summary.imported:
            settings = {"feature_set": feature_set.name, "format": request.layout, "imported": summary.imported}
            committer.record("runs", "import", {"run": [provenance.run_row("import", started, settings)]})
    return summary


def _summary(name: str, plan: ImportPlan, request: ImportRequest) -> ImportSummary:
    agreed = plan.agreed
    return ImportSummary(
        name, agreed.encoder or "", agreed.dim or 0, request.seen,
        failures=plan.failures, problems=plan.problems, without=plan.without,
    )  # fmt: skip


def _shards(
    study: Path,
    feature_set: FeatureSet,
    request: ImportRequest,
    plan: ImportPlan,
    done: set[str],
    summary: ImportSummary,
    advance: Callable[..., None],
) -> Iterator[ShardInfo]:
    """Publish the shards that are missing, one slide in memory at a time."""
    for image_id, file in plan.files.items():
        try:
            source = quick_hash(file.path)
            if image_id in done:
                _check_same(study, feature_set, image_id, file.path, source)
                summary.already_done += 1
                continue
            placed = place(
                READERS[request.layout].read(file), plan.images[image_id], file.path, feature_set.dim,
                allow_missing=request.allow_missing,
            )  # fmt: skip
            attributes = {**placed.attributes, "imported_from": request.layout, SOURCE: source}
            shard = Shard(
                image_id, feature_set.name, feature_set.sha256, placed.vectors, placed.coords,
                np.empty((0, 2), np.int64), np.empty(0, np.uint8), attributes,
            )  # fmt: skip
            info = write_shard(study, shard)
        except Exception as error:  # whatever a damaged file makes a library raise: the others go on
            summary.failures.append(failure_of(image_id, file, error))
            continue
        finally:
            advance(note=image_id)
        summary.imported += 1
        summary.patches += info.patches
        summary.empty += not info.patches
        yield info


def _check_same(study: Path, feature_set: FeatureSet, image_id: str, path: Path, source: str) -> None:
    """Refuse a file that is not the one a published shard came from: shards are never changed."""
    with opened(shard_path(study, feature_set.name, image_id)) as standing:
        before = standing.attrs.get(SOURCE)
    if before != source:
        problem = f"is not the file that {feature_set.name} has of {image_id}"
        raise contradicts(path, problem, "Vectors are never replaced: import it under another --features.")


def _feature_set(
    study: Path, committer: Committer, request: ImportRequest, recipe: ImportedRecipe, plan: ImportPlan
) -> FeatureSet:
    """Find the feature set of these files, or register it."""
    dim = plan.agreed.dim or 0
    named = feature_sets.by_name(committer.query, request.base)
    if named is not None:
        return _named(committer, named, recipe, dim)
    if re.search(r"-\d+$", request.base):
        problem = "looks like a version, but there is no such feature set"
        raise InputError(f"--features {request.base}", problem, "Leave the number out: versions are numbered here.")
    newest = feature_sets.newest(committer.query, request.base)
    if newest is not None and not isinstance(newest.recipe, ImportedRecipe):
        problem = f"is the name of {newest.name}, which `hccfeat extract` made"
        raise InputError(f"--features {request.base}", problem, "Choose another name.")
    sha256 = recipe.identity(dim)
    known = feature_sets.by_identity(committer.query, request.base, sha256)
    if known is not None:
        return _named(committer, known, recipe, dim)
    number = feature_sets.next_version(committer.query, request.base, None)
    name = f"{request.base}-{number}"
    weights = recipe.weights_sha256 or ""
    feature_set = FeatureSet(name, request.base, number, None, sha256, weights, dim, recipe)
    _register(study, committer, feature_set, recipe)
    return feature_set


def _named(committer: Committer, known: FeatureSet, recipe: ImportedRecipe, dim: int) -> FeatureSet:
    """A feature set that is there already, if these files may join it."""
    entity = f"feature set {known.name}"
    if not isinstance(known.recipe, ImportedRecipe):
        raise InputError(entity, "was made by `hccfeat extract`", "Choose another --features.")
    own = known.recipe
    told: dict[str, tuple[Any, Any]] = {
        "vectors of length": (known.dim, dim),
        "the network": (own.encoder, recipe.encoder),
        "format": (own.format, recipe.format),
        "numbers of type": (own.source_dtype, recipe.source_dtype),
        "--seen": (own.seen, recipe.seen),
    }
    for words, (before, now) in told.items():
        if before != now:
            shown = [", ".join(v) or "none" if isinstance(v, tuple) else str(v) for v in (before, now)]
            problem = f"was imported with {words} {shown[0]}, not {shown[1]}"
            raise InputError(entity, problem, "Import these files under another --features.")
    if recipe.weights_sha256 not in (None, known.recipe.weights_sha256):
        raise InputError(entity, "was declared with other weights", "Import these files under another --features.")
    later, _ = _seen_patients(committer, known.name, recipe)
    if later:
        committer.record("feature_sets", known.name, {"feature_set_patient": later})
        committer.publish()
    return known


def _register(study: Path, committer: Committer, feature_set: FeatureSet, recipe: ImportedRecipe) -> None:
    """Record the feature set, and everyone whom its network was declared to have seen."""
    document = {"feature_set": feature_set.name, "recipe": recipe.model_dump(mode="json")}
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    write_text_atomically(study / "models" / feature_set.name / "recipe.json", text)
    roles, simulated = _seen_patients(committer, feature_set.name, recipe)
    row = feature_set_row(feature_set, encoder=recipe.encoder, simulated=simulated)
    committer.record("feature_sets", feature_set.name, {"feature_set": [row], "feature_set_patient": roles})
    committer.publish()


def _seen_patients(committer: Committer, name: str, recipe: ImportedRecipe) -> tuple[list[dict[str, str]], bool]:
    """Rows of those of the declared cohorts who are not recorded as seen yet, and whether any is simulated."""
    patients = committer.query(
        "SELECT p.patient_id, c.simulated FROM patient AS p JOIN cohort AS c USING (cohort) "
        "WHERE list_contains(?, p.cohort) AND NOT EXISTS (SELECT 1 FROM feature_set_patient AS f "
        "WHERE f.feature_set = ? AND f.patient_id = p.patient_id) ORDER BY p.patient_id",
        [list(recipe.seen), name],
    )
    rows = [{"feature_set": name, "patient_id": patient, "role": "trained"} for patient in patients["patient_id"]]
    return rows, bool(patients["simulated"].any())

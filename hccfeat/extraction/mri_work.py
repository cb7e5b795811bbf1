"""Training and embedding MRI exams for ``hccfeat extract``."""

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from torch import nn

from hccfeat.cohort.frozen import frozen_split
from hccfeat.config import PHASES, MriRecipe
from hccfeat.errors import ConfigError, HccfeatError, InputError
from hccfeat.extraction import feature_sets, provenance
from hccfeat.extraction.candidates import mri_candidates
from hccfeat.extraction.identity import FeatureSet
from hccfeat.extraction.mri_embed import ExamTask, embed_exam
from hccfeat.extraction.mri_training import MriTrainingPlan, plan_mri_training, train_cmd_net
from hccfeat.extraction.outcomes import Outcome
from hccfeat.extraction.provenance import NewFeatureSet
from hccfeat.extraction.session import Session
from hccfeat.extraction.volumes import ExamSource, exam_sources, prepare_exams
from hccfeat.models.mri_base import MriNetwork
from hccfeat.models.weights import read_metadata
from hccfeat.training.mri_fit import TrainedMri
from hccfeat.training.mri_predict import load_mri

STREAMS = {f"z_{phase}": phase for phase in PHASES}
"""Further outputs of a network: Z of one phase, before the cross attention (P2 equation 5)."""


def output_base(base: str, output: str) -> str:
    """Name of the feature set that holds a further output: ``mri-pre`` for ``z_pre`` beside ``mri``.

    Raises
    ------
    InputError
        If there is no such output.
    """
    if output not in STREAMS:
        raise InputError(f"--also {output}", "is no output of the network", f"Use {' or '.join(STREAMS)}.")
    return f"{base}-{STREAMS[output]}"


class MriWork:
    """MRI exams: CMD-Net's student, taught by a teacher that knows the clinical items, one vector per exam."""

    def __init__(self, session: Session, recipe: MriRecipe) -> None:
        self.session, self.recipe = session, recipe
        self.sources = {source.image_id: source for source in exam_sources(session.catalog)}

    def trained(self, fold: int | None) -> FeatureSet:
        """Find or train the network of today's data; see :class:`hccfeat.extraction.session.Work`."""
        session = self.session
        study, base = session.study, session.options.base
        frozen_split(study, session.committer, session.config)
        candidates, forbidden = mri_candidates(session.config, session.committer.query, fold)
        plan = plan_mri_training(
            study, candidates, list(self.sources.values()), self.recipe, session.device, forbidden
        )
        known = feature_sets.by_training(study, base, plan.sha256, fold)
        if known is not None:
            return known
        started = time.perf_counter()
        student, teacher = train_cmd_net(
            study,
            plan,
            self.recipe,
            device=session.device,
            workers=session.options.workers,
            on_failure=_training_failure,
        )
        session.summary.seconds["train"] += time.perf_counter() - started
        new = _of_training(base, self.recipe, plan, student, teacher, fold, simulated=session.simulated())
        feature_set = provenance.register(study, session.committer, new)
        session.summary.trained.append(feature_set.name)
        return feature_set

    def given(self, weights: Path) -> FeatureSet:
        """Find or register given weights.

        Raises
        ------
        ConfigError
            If the file does not exist, or holds no network that embeds exams without clinical items.
        """
        session = self.session
        metadata = provenance.given_metadata(weights)
        network = load_mri(weights)
        if not isinstance(network, MriNetwork):
            raise ConfigError(
                str(weights),
                "holds a teacher, which needs clinical items",
                "Give the student's weights.safetensors, which lies beside it.",
            )
        new = NewFeatureSet(
            base=session.options.base,
            recipe=MriRecipe.model_validate(metadata["recipe"]),
            encoder=metadata["network"],
            network=network,
            dim=network.embedding_dim,
            roles=provenance.known_patients(session.committer, metadata),
            facts={"given_weights": weights.name, "seen_patients_known": "seen_patients" in metadata},
            simulated=bool(metadata.get("simulated", False)),
            seen_elsewhere=frozenset(metadata.get("seen_patients", [])),
            about=metadata,
        )
        return provenance.register(session.study, session.committer, new)

    def further(self, main: FeatureSet) -> list[FeatureSet]:
        """Find or register the feature sets of further outputs; they carry the version of the main one."""
        return [self._further(main, output) for output in self.session.options.also]

    def outcomes(self, feature_set: FeatureSet, image_ids: Sequence[str]) -> Iterator[Outcome]:
        """Prepare what is not prepared yet, now; then embed, each outcome as it comes."""
        session, recipe = self.session, feature_set.mri_recipe
        chosen = [self.sources[image_id] for image_id in image_ids]
        failed: list[Outcome] = []
        if session.options.scheduler is None:  # workers elsewhere prepare what they embed
            started = time.perf_counter()
            prepared = prepare_exams(
                session.study,
                chosen,
                recipe,
                lambda source, error: failed.append(Outcome.failed(source.exam_id, error)),
                workers=session.options.workers,
            )
            chosen = [source for source, _ in prepared]
            session.summary.seconds["prepare"] += time.perf_counter() - started
        weights = session.study / "models" / feature_set.name / "weights.safetensors"
        tasks = [
            ExamTask(
                session.study, source, feature_set.name, feature_set.sha256, weights, feature_set.weights_sha256,
                recipe, feature_set.output, session.worker_device,
            )
            for source in chosen
        ]  # fmt: skip
        return chain(failed, session.run(embed_exam, tasks))

    def _further(self, main: FeatureSet, output: str) -> FeatureSet:
        study, committer = self.session.study, self.session.committer
        base = output_base(main.base, output)
        suffix = "" if main.fold is None else f"-fold{main.fold}"
        known = feature_sets.by_name(committer.query, f"{base}-{main.version}{suffix}")
        if known is not None:
            if (known.weights_sha256, known.output) != (main.weights_sha256, output):
                problem = f"is taken: {known.name} is of another network than {main.name}"
                raise InputError(f"--also {output}", problem, "Choose another --features.")
            return known
        weights = study / "models" / main.name / "weights.safetensors"
        network, metadata = load_mri(weights), read_metadata(weights)
        if not isinstance(network, MriNetwork) or STREAMS[output] not in network.phases:
            problem = f"is no output of {main.name}: its network has no such phase"
            raise InputError(f"--also {output}", problem, "Leave it out.")
        roles = committer.query(
            "SELECT patient_id, role FROM feature_set_patient WHERE feature_set = ?", [main.name]
        )
        new = NewFeatureSet(
            base=base,
            recipe=main.mri_recipe,
            encoder=metadata["network"],
            network=network,
            dim=int(metadata["options"]["stream_dim"]),
            roles=dict(roles.rows()),
            facts={"output": output, "weights_of": main.name},
            simulated=bool(metadata["simulated"]),
            fold=main.fold,
            version=main.version,
            output=output,
            seen_elsewhere=frozenset(metadata["seen_patients"]),
            about=metadata,
        )
        return provenance.register(study, committer, new)


def _of_training(
    base: str,
    recipe: MriRecipe,
    plan: MriTrainingPlan,
    student: TrainedMri,
    teacher: TrainedMri,
    fold: int | None,
    *,
    simulated: bool,
) -> NewFeatureSet:
    network = load_mri(student.weights)
    assert isinstance(network, MriNetwork)
    facts = {
        "training_sha256": plan.sha256,
        "exams": len(student.patients_trained),
        "items": recipe.items,
        "history": student.history,
        "teacher_history": teacher.history,
        "parameters": student.parameters,
        "teacher_parameters": teacher.parameters,
    }
    return NewFeatureSet(
        base=base,
        recipe=recipe,
        encoder=str(read_metadata(student.weights)["network"]),
        network=network,
        dim=network.embedding_dim,
        roles=dict.fromkeys(student.patients_trained, "trained"),
        facts=facts,
        simulated=simulated,
        fold=fold,
        about=read_metadata(student.weights),
        teacher=_published(teacher.weights),
    )


def _published(weights: Path) -> tuple[nn.Module, Mapping[str, Any]]:
    return load_mri(weights), read_metadata(weights)


def _training_failure(source: ExamSource, error: HccfeatError) -> None:
    # The same exam fails again, with its reason, when it comes to be embedded.
    del source, error

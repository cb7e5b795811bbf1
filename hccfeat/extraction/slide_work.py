"""Training and embedding slides for ``hccfeat extract``."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from hccfeat.cohort.frozen import frozen_split, split_name
from hccfeat.config import Recipe
from hccfeat.errors import HccfeatError, InputError
from hccfeat.extraction import feature_sets, provenance
from hccfeat.extraction.candidates import training_candidates
from hccfeat.extraction.encoder import TrainingPlan, plan_training, train
from hccfeat.extraction.identity import FeatureSet
from hccfeat.extraction.outcomes import Outcome
from hccfeat.extraction.plan import sources
from hccfeat.extraction.session import Session
from hccfeat.extraction.tasks import EmbedTask, Source, embed_image
from hccfeat.extraction.trunk_check import trunk_check
from hccfeat.store.catalog import query
from hccfeat.training.encoder import TrainedEncoder

SPLIT_SECONDS = 600.0
"""A machine that helps to train waits so long for the first one to begin."""


class SlideWork:
    """Slides: CNN-SASM on denoised labels, one vector per patch."""

    def __init__(self, session: Session, recipe: Recipe) -> None:
        self.session, self.recipe = session, recipe
        self.sources = {source.image_id: source for source in sources(session.catalog)}

    def trained(self, fold: int | None) -> FeatureSet:
        """Find or train the encoder of today's data; see :class:`hccfeat.extraction.session.Work`."""
        session = self.session
        options = session.options
        frozen_split(session.study, session.committer, session.config)
        work = self._plan(fold)
        known = feature_sets.by_training(session.study, options.base, work.sha256, fold)
        if known is not None:
            return known
        started = time.perf_counter()
        trained = self._train(work)
        session.summary.seconds["train"] += time.perf_counter() - started
        feature_set = provenance.register_trained(
            session.study,
            session.committer,
            options.base,
            self.recipe,
            work,
            trained,
            fold,
            simulated=session.simulated(),
            check=trunk_check(session.study, work.sources, session.device, session.summary.notes.append),
        )
        session.summary.trained.append(feature_set.name)
        return feature_set

    def help_train(self, fold: int | None) -> None:
        """Share the training that another machine leads, on what it has published; writes nothing to the catalog.

        Raises
        ------
        InputError
            If that machine freezes no split.
        """
        session = self.session
        name, deadline = split_name(session.config), time.monotonic() + SPLIT_SECONDS
        while query(session.study, "SELECT 1 FROM split WHERE split = ? LIMIT 1", [name]).is_empty():
            if time.monotonic() > deadline:
                problem = f"was not frozen by the first machine within {SPLIT_SECONDS:g} s"
                raise InputError(f"split {name}", problem, "Start the same command there, with NODE_RANK=0.")
            time.sleep(0.5)
        work = self._plan(fold)
        if feature_sets.by_training(session.study, session.options.base, work.sha256, fold) is None:
            self._train(work)

    def _plan(self, fold: int | None) -> TrainingPlan:
        session = self.session
        ask = partial(query, session.catalog)
        candidates, forbidden = training_candidates(session.study, session.config, ask, fold)
        own = sources(session.catalog, [session.config.development_cohort])
        return plan_training(candidates, own, self.recipe, session.device, forbidden)

    def _train(self, work: TrainingPlan) -> TrainedEncoder:
        session = self.session
        return train(
            session.study,
            work,
            self.recipe,
            device=session.device,
            devices=session.options.devices,
            nodes=session.options.nodes,
            on_failure=_training_failure,
        )

    def given(self, weights: Path) -> FeatureSet:
        """Find or register given weights."""
        session = self.session
        check = trunk_check(
            session.study, list(self.sources.values()), session.device, session.summary.notes.append
        )
        return provenance.register_given_weights(
            session.study, session.committer, session.options.base, self.recipe, weights, check=check
        )

    def further(self, main: FeatureSet) -> list[FeatureSet]:
        """Nothing: an encoder of slides has one output."""
        del main
        return []

    def outcomes(self, feature_set: FeatureSet, image_ids: Sequence[str]) -> Iterator[Outcome]:
        """Embed slides."""
        session = self.session
        weights = session.study / "models" / feature_set.name / "weights.safetensors"
        tasks = [
            EmbedTask(
                session.study, self.sources[image_id], feature_set.name, feature_set.sha256, weights,
                feature_set.weights_sha256, feature_set.slide_recipe, session.worker_device,
            )
            for image_id in image_ids
        ]  # fmt: skip
        return session.run(embed_image, tasks)


def _training_failure(source: Source, error: HccfeatError) -> None:
    # The same image fails again, with its reason, when it comes to be embedded.
    del source, error

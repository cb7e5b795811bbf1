"""Training and embedding slides for ``hccfeat extract``."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from hccfeat.cohort.frozen import frozen_split
from hccfeat.config import Recipe
from hccfeat.errors import HccfeatError
from hccfeat.extraction import feature_sets, provenance
from hccfeat.extraction.candidates import training_candidates
from hccfeat.extraction.encoder import plan_training, train
from hccfeat.extraction.executors import run_tasks
from hccfeat.extraction.identity import FeatureSet
from hccfeat.extraction.outcomes import Outcome
from hccfeat.extraction.plan import sources
from hccfeat.extraction.session import Session
from hccfeat.extraction.tasks import EmbedTask, Source, embed_image


class SlideWork:
    """Slides: CNN-SASM on denoised labels, one vector per patch."""

    def __init__(self, session: Session, recipe: Recipe) -> None:
        self.session, self.recipe = session, recipe
        self.sources = {source.image_id: source for source in sources(session.study)}

    def trained(self, fold: int | None) -> FeatureSet:
        """Find or train the encoder of today's data; see :class:`hccfeat.extraction.session.Work`."""
        session = self.session
        config, options = session.config, session.options
        frozen_split(session.study, session.committer, config)
        candidates, forbidden = training_candidates(session.study, config, session.committer.query, fold)
        own = sources(session.study, [config.development_cohort])
        work = plan_training(candidates, own, self.recipe, session.device, forbidden)
        known = feature_sets.by_training(session.study, options.base, work.sha256, fold)
        if known is not None:
            return known
        started = time.perf_counter()
        trained = train(
            session.study,
            work,
            self.recipe,
            device=session.device,
            devices=options.devices,
            on_failure=_training_failure,
        )
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
        )
        session.summary.trained.append(feature_set.name)
        return feature_set

    def given(self, weights: Path) -> FeatureSet:
        """Find or register given weights."""
        session = self.session
        return provenance.register_given_weights(
            session.study, session.committer, session.options.base, self.recipe, weights
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
                feature_set.weights_sha256, feature_set.slide_recipe, session.device,
            )
            for image_id in image_ids
        ]  # fmt: skip
        return run_tasks(embed_image, tasks, session.options.workers)


def _training_failure(source: Source, error: HccfeatError) -> None:
    # The same image fails again, with its reason, when it comes to be embedded.
    del source, error

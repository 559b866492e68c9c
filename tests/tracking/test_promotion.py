from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from mlflow import MlflowClient

from stancekit.config.compose import load_config
from stancekit.config.schema import EvaluationConfig, TrackingConfig, TrainConfig
from stancekit.evaluation.predictions import Predictions
from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair
from stancekit.tracking.promotion import promote
from stancekit.tracking.results import EVALUATION
from stancekit.tracking.store import experiment_id, open_store

TRACKING = TrackingConfig(
    uri=None, experiment="stancekit", registered_model="stancekit", models=True, promote="when_better"
)
PAIRS = [Pair(f"statement {n}", "a target", label=OUTCOMES[n % 4], extra={"topic": n // 4}) for n in range(160)]
OTHER_PAIRS = [Pair(f"other {n}", "a target", label=OUTCOMES[n % 4], extra={"topic": n // 4}) for n in range(160)]


def predictions(right: float, pairs: list[Pair] = PAIRS) -> Predictions:
    """Return predictions of which a share is right, spread over 40 clusters of four rows."""
    draw = np.random.default_rng(1)
    probabilities = np.full((len(pairs), len(OUTCOMES)), 0.1)
    for number, (pair, chance) in enumerate(zip(pairs, draw.random(len(pairs)), strict=True)):
        gold = OUTCOMES.index(str(pair.label))
        probabilities[number, gold if chance < right else (gold + 1) % 3] = 0.7
    return Predictions(pairs, probabilities, [str(pair.column("topic")) for pair in pairs])


GOOD, BAD, OTHER = predictions(0.9), predictions(0.5), predictions(0.99, OTHER_PAIRS)


class Registry:
    """A store in which versions are registered and promoted."""

    def __init__(self, folder: Path) -> None:
        self.client: MlflowClient = open_store(TRACKING)
        self.client.create_registered_model("stancekit")
        self._folder = folder
        config = load_config("train", ["evaluation.draws=300"])
        assert isinstance(config, TrainConfig)
        self._settings: EvaluationConfig = config.evaluation

    def add(self, dev: Predictions | None) -> str:
        """Register a version whose run left these predictions on dev; return its number."""
        run_id = self.client.create_run(experiment_id(self.client, TRACKING)).info.run_id
        if dev is not None:
            dev.write(self._folder / "dev_predictions.jsonl")
            self.client.log_artifact(run_id, str(self._folder / "dev_predictions.jsonl"), EVALUATION)
        return str(self.client.create_model_version("stancekit", source="file:///nowhere", run_id=run_id).version)

    def promote(
        self,
        version: str,
        dev: Predictions,
        rule: Literal["when_better", "always", "never"] = "when_better",
        eligible: bool = True,
        force: bool = False,
    ) -> str:
        """Apply the rule to a version; return what is said, after checking that it is what was done."""
        before = self.champion()
        tracking = TRACKING.model_copy(update={"promote": rule})
        promoted, said = promote(self.client, tracking, version, dev, self._settings, eligible, force)
        assert self.champion() == (version if promoted else before)
        assert promoted == ("is now the champion" in said or "is the champion already" in said)
        return said

    def champion(self) -> str | None:
        """Return the version behind ``model=champion``."""
        found: str | None = self.client.get_registered_model("stancekit").aliases.get("champion")
        return None if found is None else str(found)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path)


@pytest.fixture
def champion(registry: Registry) -> str:
    """The version that holds the alias, whose predictions on dev are bad."""
    version = registry.add(BAD)
    assert registry.promote(version, BAD) == f"stancekit version {version} is now the champion: model=champion"
    return version


def test_when_the_champion_is_promoted_again_then_it_is_said_to_be_it(registry: Registry, champion: str) -> None:
    said = registry.promote(champion, BAD, rule="never")
    assert said == f"stancekit version {champion} is the champion already: model=champion"


def test_when_a_baseline_or_trial_comes_first_then_there_is_no_champion(registry: Registry) -> None:
    said = registry.promote(registry.add(GOOD), GOOD, eligible=False)
    assert said.endswith("was registered; model=champion is unchanged (a baseline or a trial run)")
    assert registry.champion() is None


def test_when_the_predictions_are_the_same_then_the_champion_stays(registry: Registry, champion: str) -> None:
    said = registry.promote(registry.add(BAD), BAD)
    assert registry.champion() == champion and "(on dev: no difference shown: macro-F1 " in said


def test_when_a_version_is_better_by_a_row_then_that_is_not_shown_and_the_champion_stays(
    registry: Registry, champion: str
) -> None:
    wrong = int((BAD.predicted != BAD.gold).nonzero()[0][0])
    probabilities = BAD.probabilities.copy()
    probabilities[wrong] = np.where(np.arange(4) == BAD.gold[wrong], 0.7, 0.1)
    said = registry.promote(registry.add(BAD), Predictions(PAIRS, probabilities, BAD.clusters))
    assert registry.champion() == champion and "no difference shown" in said


def test_when_a_version_is_clearly_better_on_the_same_dev_rows_then_it_takes_over(
    registry: Registry, champion: str
) -> None:
    better = registry.add(GOOD)
    said = registry.promote(better, GOOD)
    assert f"now the champion: model=champion (on dev: this one is better than version {champion} by " in said
    worse = registry.add(BAD)
    assert f"(on dev: version {better} is better than this one by " in registry.promote(worse, BAD)
    assert registry.champion() == better


def test_when_the_dev_rows_are_others_then_a_better_score_does_not_count(registry: Registry, champion: str) -> None:
    said = registry.promote(registry.add(OTHER), OTHER)
    assert f"(version {champion} was scored on other dev rows; `stancekit promote run=… force=true` replaces" in said
    assert registry.champion() == champion


def test_when_the_champion_left_no_predictions_then_only_force_replaces_it(registry: Registry) -> None:
    held = registry.add(None)
    registry.promote(held, BAD)
    version = registry.add(GOOD)
    assert f"(version {held} left no predictions on dev to compare with; " in registry.promote(version, GOOD)
    registry.promote(version, GOOD, force=True)
    assert registry.champion() == version


def test_when_the_rule_is_never_then_not_even_the_first_becomes_champion(registry: Registry) -> None:
    version = registry.add(GOOD)
    assert registry.promote(version, GOOD, rule="never").endswith("is unchanged (tracking.promote=never)")
    assert registry.champion() is None
    registry.promote(version, GOOD, rule="never", force=True)
    assert registry.champion() == version


@pytest.mark.parametrize(("rule", "force"), [("always", False), ("when_better", True), ("never", True)])
def test_when_it_is_always_or_forced_then_a_worse_one_on_other_rows_that_is_not_eligible_takes_over(
    registry: Registry, champion: str, rule: Literal["when_better", "always", "never"], force: bool
) -> None:
    worse = predictions(0.2, OTHER_PAIRS)
    version = registry.add(worse)
    registry.promote(version, worse, rule, eligible=False, force=force)
    assert registry.champion() == version != champion

"""``stancekit promote``: a run's model becomes ``model=champion``, if it is shown to be better."""

from __future__ import annotations

from stancekit.config.schema import PromoteConfig
from stancekit.errors import UserError
from stancekit.evaluation.metrics import score
from stancekit.metric_names import HEADLINE
from stancekit.tracking.promotion import DEV, promote, register
from stancekit.tracking.results import find_run, runs_to_compare, stored_predictions
from stancekit.tracking.store import open_store


def run(config: PromoteConfig) -> None:
    """Compare the run's model with the champion on the same dev rows and move the alias if it is better, or forced.

    Raises:
        UserError: the run is unknown, not over, has no model, or is not shown to be better.
    """
    client = open_store(config.tracking)
    found = runs_to_compare(client, find_run(client, config.tracking, config.run))
    scored = [(one, stored_predictions(client, one, DEV)) for one in found]
    # Of repeats the best on dev: a parent has no model of its own.
    best, dev = max(scored, key=lambda pair: score(pair[1].gold, pair[1].probabilities)[HEADLINE])
    version = register(client, config.tracking, best.info.run_id)
    # Asked for by name, so that the rule for new runs does not count.
    rule = config.tracking.model_copy(update={"promote": "when_better"})
    promoted, said = promote(client, rule, version, dev, config.evaluation, force=config.force)
    if not promoted:
        raise UserError(f"run={config.run}: {said}")
    print(said)

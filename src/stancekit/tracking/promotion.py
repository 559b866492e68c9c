"""Which version is the champion, ``model=champion``: it changes hands only where dev shows that it should."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stancekit.config.schema import EvaluationConfig, TrackingConfig
from stancekit.errors import UserError
from stancekit.evaluation.compare import Entrant, compare
from stancekit.evaluation.predictions import Predictions
from stancekit.metric_names import HEADLINE
from stancekit.tracking.registry import CHAMPION
from stancekit.tracking.results import stored_predictions

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEV = "dev"
"""The part that models are chosen on; never a test set."""


def register(client: MlflowClient, tracking: TrackingConfig, run_id: str) -> str:
    """Return the version under which a run's model is registered, registering it if need be.

    Raises:
        UserError: the run has no model.
    """
    name = tracking.registered_model
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    if known := client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'"):
        return str(known[0].version)
    outputs = client.get_run(run_id).outputs
    models = outputs.model_outputs if outputs else []
    if not models:
        raise UserError(f"run {run_id} has no model: it was trained with tracking.models=false, or is no training")
    model = models[-1].model_id
    made = client.create_model_version(name, source=f"models:/{model}", run_id=run_id, model_id=model)
    return str(made.version)


def promote(
    client: MlflowClient,
    tracking: TrackingConfig,
    version: str,
    dev: Predictions,
    settings: EvaluationConfig,
    eligible: bool = True,
    force: bool = False,
) -> tuple[bool, str]:
    """Make a version the champion if there is none yet, or if it is shown to be better on the same dev rows.

    Args:
        dev: the version's predictions on dev.
        eligible: whether the rule ``when_better`` may take it: no baseline and no trial run.
        force: whether it becomes the champion in any case.

    Returns:
        Whether it is the champion now, and a sentence that says why.
    """
    name = tracking.registered_model
    became = f"{name} version {version} is now the champion: model=champion"
    stays = f"{name} version {version} was registered; model=champion is unchanged"
    held = client.get_registered_model(name).aliases.get(CHAMPION)
    if str(held) == version:
        return True, f"{name} version {version} is the champion already: model=champion"
    if not force and tracking.promote == "never":
        return False, f"{stays} (tracking.promote=never)"
    if not force and tracking.promote == "when_better":
        if not eligible:
            return False, f"{stays} (a baseline or a trial run)"
        if held is not None:
            better, why = _better(client, name, str(held), dev, settings)
            if not better:
                return False, f"{stays} ({why})"
            became = f"{became} ({why})"
    client.set_registered_model_alias(name, CHAMPION, version)
    return True, became


def _better(
    client: MlflowClient, name: str, held: str, dev: Predictions, settings: EvaluationConfig
) -> tuple[bool, str]:
    from mlflow.exceptions import MlflowException

    champion = client.get_model_version(name, held)
    way_out = "`stancekit promote run=… force=true` replaces it"
    try:
        before = stored_predictions(client, client.get_run(str(champion.run_id)), DEV)
    except (UserError, MlflowException):
        # Its run may have been deleted, and a version that was registered by hand has none.
        return False, f"version {held} left no predictions on dev to compare with; {way_out}"
    if before.fingerprint != dev.fingerprint:
        return False, f"version {held} was scored on other dev rows; {way_out}"
    entrants = Entrant(f"version {held}", [before]), Entrant("this one", [dev])
    found = compare(*entrants, DEV, columns=(), draws=settings.draws)
    headline = next(one for one in found.metrics if one.metric == HEADLINE)
    return headline.shown and headline.difference.value > 0, f"on dev: {found.verdict}"

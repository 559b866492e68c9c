"""What MLflow keeps with every logged model and runs to load it; logged models need ``StanceService`` to stay there."""

from __future__ import annotations

from mlflow.models import set_model

from stancekit.serving.service import StanceService

set_model(StanceService())

"""Windows of rows scored by the workers of a Ray cluster."""

from stancekit.prediction.cluster.driver import scored_on_ray

__all__ = ["scored_on_ray"]

"""The tiny models of the engines."""

from __future__ import annotations

from tests.prediction.conftest import saved_model

__all__ = ["saved_model"]

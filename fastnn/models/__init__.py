"""The Keras interface: models that are declared, compiled and fitted as in Keras."""

from fastnn.common import absent
from fastnn.models.loading import load_model
from fastnn.models.sequential import Sequential

__all__ = ["Sequential", "load_model"]

absent.explain(__name__)

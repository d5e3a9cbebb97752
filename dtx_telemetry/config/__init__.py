"""Configuration: one frozen object of settings, and the labels of paths."""

from .labels import LabelTable
from .parsing import ImproperlyConfigured
from .settings import NOISY_LOGGERS, Given, Settings, extract_labels, get_settings, given_settings, reset

__all__ = [
    "NOISY_LOGGERS",
    "Given",
    "ImproperlyConfigured",
    "LabelTable",
    "Settings",
    "extract_labels",
    "get_settings",
    "given_settings",
    "reset",
]

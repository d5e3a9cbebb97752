"""Configuration: one frozen object of settings, and the labels of paths."""

from .labels import LabelTable
from .parsing import ImproperlyConfigured
from .settings import NOISY_LOGGERS, Settings, extract_labels, get_settings, reset

__all__ = ["NOISY_LOGGERS", "ImproperlyConfigured", "LabelTable", "Settings", "extract_labels", "get_settings", "reset"]

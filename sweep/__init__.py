"""Hyperparameter sweeps whose trials resume."""

__version__ = "0.1.0"

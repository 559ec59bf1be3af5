"""Train video object segmentation networks from one labelled frame per video."""

from importlib.metadata import version

__version__ = version("oneshot-vos")

"""stancekit: who supports, rules out or leaves open which course of action."""

from importlib.metadata import version

__version__ = version("stancekit")

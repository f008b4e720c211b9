"""Configuration: settings and policies, where they come from, and errors that name file, line and field."""

from phasenb.config.loading import load_policy, load_settings
from phasenb.config.settings import Settings

__all__ = ["Settings", "load_policy", "load_settings"]

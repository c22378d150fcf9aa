"""The learned world model: encoding, ensemble, bundle and the runtime that plans with it (no torch)."""

from dyna_nav.world_model.bundle import Bundle, BundleError, default_bundle, load_bundle
from dyna_nav.world_model.runtime import WorldModel

__all__ = ["Bundle", "BundleError", "WorldModel", "default_bundle", "load_bundle"]

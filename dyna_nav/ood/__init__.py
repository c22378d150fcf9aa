"""Out-of-distribution detection: is the state one that the model has ever seen? (Runtime without torch.)"""

from dyna_nav.ood.runtime import OODConfig, OODDetector, OODReport

__all__ = ["OODConfig", "OODDetector", "OODReport"]

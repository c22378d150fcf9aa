"""Planning: the potential, the two memories, the live map, the braking rule and the Dyna-2 cycle that uses them."""

from dyna_nav.planning.config import PlannerConfig
from dyna_nav.planning.controller import Dyna2Controller
from dyna_nav.planning.report import WAITS, PlanReport

__all__ = ["WAITS", "Dyna2Controller", "PlanReport", "PlannerConfig"]

"""Planning: the potential, the two memories, the live map, the braking rule and the Dyna-2 cycle that uses them."""

from dyna_nav.planning.controller import WAITS, Dyna2Controller, PlannerConfig, PlanReport

__all__ = ["WAITS", "Dyna2Controller", "PlanReport", "PlannerConfig"]

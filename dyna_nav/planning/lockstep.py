"""The planner as the evaluation drives it: made without arguments, from the default bundle, without a time budget."""

from __future__ import annotations

from pathlib import Path

from dyna_nav.planning.config import PlannerConfig
from dyna_nav.planning.controller import Dyna2Controller
from dyna_nav.planning.vigilance import Vigilance
from dyna_nav.world_model.bundle import default_bundle, load_bundle
from dyna_nav.world_model.runtime import WorldModel

UNHURRIED = PlannerConfig(budget_ms=0.0)  # in lockstep no clock decides


class LockstepController(Dyna2Controller):
    """The Dyna-2 controller of the default bundle; its variants and alternatives differ from it in one thing each."""

    def __init__(
        self,
        model=None,
        vigilance: Vigilance | None = None,
        config: PlannerConfig = UNHURRIED,
        memory_dir: Path | None = None,
    ):
        """As Dyna2Controller; without a model, the default bundle's and everything that watches over it."""
        if model is None:
            bundle = load_bundle(default_bundle())
            model = WorldModel(bundle)
            vigilance = Vigilance(bundle, model, breaker=config.breaker, detector=config.detector)
        super().__init__(model, vigilance, config, memory_dir)

"""The alternatives as controllers, for ``dyna-nav evaluate``; all but the search is the Dyna-2 controller's."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from dyna_nav.planning.alternatives.cem import CEMConfig, CrossEntropy
from dyna_nav.planning.alternatives.mcts import MCTSConfig, TreeSearch
from dyna_nav.planning.alternatives.shooting import RandomShooting, ShootingConfig
from dyna_nav.planning.config import PlannerConfig
from dyna_nav.planning.lockstep import UNHURRIED, LockstepController

_ROLLOUTS = 60  # rounds and trees need more than Dyna-2 has a use for
PLENTIFUL = replace(UNHURRIED, dyna2=replace(UNHURRIED.dyna2, rollouts=_ROLLOUTS))


class _Alternative(LockstepController):
    """A search in the place of Dyna-2's, with all the rollouts that it has a use for."""

    def __init__(self, model=None, vigilance=None, config: PlannerConfig = PLENTIFUL, **more):
        super().__init__(model, vigilance, config, **more)


class RandomShootingController(_Alternative):
    """Drives a fleet by random shooting."""

    def __init__(self, *arguments, search: ShootingConfig | None = None, **more):
        super().__init__(*arguments, **more)
        self.search = partial(RandomShooting, config=search or ShootingConfig())


class CEMController(_Alternative):
    """Drives a fleet by the cross-entropy method."""

    def __init__(self, *arguments, search: CEMConfig | None = None, **more):
        super().__init__(*arguments, **more)
        self.search = partial(CrossEntropy, config=search or CEMConfig())


class MCTSController(_Alternative):
    """Drives a fleet by Monte Carlo tree search."""

    def __init__(self, *arguments, search: MCTSConfig | None = None, **more):
        super().__init__(*arguments, **more)
        self.search = partial(TreeSearch, config=search or MCTSConfig())

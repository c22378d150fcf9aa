"""The alternatives as controllers, for ``dyna-nav evaluate``; all but the search is the Dyna-2 controller's."""

from __future__ import annotations

from functools import partial

from dyna_nav.planning.alternatives.cem import CEMConfig, CrossEntropy
from dyna_nav.planning.alternatives.mcts import MCTSConfig, TreeSearch
from dyna_nav.planning.alternatives.shooting import RandomShooting, ShootingConfig
from dyna_nav.planning.lockstep import LockstepController


class RandomShootingController(LockstepController):
    """Drives a fleet by random shooting."""

    def __init__(self, *arguments, search: ShootingConfig | None = None, **more):
        super().__init__(*arguments, **more)
        self.search = partial(RandomShooting, config=search or ShootingConfig())


class CEMController(LockstepController):
    """Drives a fleet by the cross-entropy method."""

    def __init__(self, *arguments, search: CEMConfig | None = None, **more):
        super().__init__(*arguments, **more)
        self.search = partial(CrossEntropy, config=search or CEMConfig())


class MCTSController(LockstepController):
    """Drives a fleet by Monte Carlo tree search."""

    def __init__(self, *arguments, search: MCTSConfig | None = None, **more):
        super().__init__(*arguments, **more)
        self.search = partial(TreeSearch, config=search or MCTSConfig())

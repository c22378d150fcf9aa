"""Other ways to search than Dyna-2's, in its place: random shooting, the cross-entropy method, Monte Carlo tree search.

Model, potential, permanent memory, live map, fleet prediction, uncertainty and braking rule are those of Dyna-2; only
how sequences of actions are found and valued differs, with three times the imagined steps per cycle. None of them has a
transient memory: what a cycle finds out is used in that cycle, and at most its best sequence starts the next.
"""

from dyna_nav.planning.alternatives.controllers import CEMController, MCTSController, RandomShootingController

__all__ = ["CEMController", "MCTSController", "RandomShootingController"]

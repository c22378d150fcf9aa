"""What a user would run instead of Dyna-2: A* on a costmap, regulated pure pursuit, a collision monitor, recoveries."""

from dyna_nav.baselines.controller import AStarController, BaselineConfig

__all__ = ["AStarController", "BaselineConfig"]

"""A MuJoCo simulator of a fleet in any site: real differential-drive physics, laser, battery, pallets and faults."""

from dyna_nav.simulation.collisions import Collision
from dyna_nav.simulation.config import Pallet, SimulationConfig
from dyna_nav.simulation.rounds import Walkers, draw_people
from dyna_nav.simulation.simulation import Simulation
from dyna_nav.simulation.spawn import spawn_poses
from dyna_nav.simulation.walkers import Walker

__all__ = [
    "Collision", "Pallet", "Simulation", "SimulationConfig", "Walker", "Walkers", "draw_people", "spawn_poses",
]  # fmt: skip

"""A MuJoCo simulator of a fleet in any site: real differential-drive physics, laser, battery, pallets and faults."""

from dyna_nav.simulation.collisions import Collision
from dyna_nav.simulation.config import Pallet, SimulationConfig
from dyna_nav.simulation.simulation import Simulation
from dyna_nav.simulation.walkers import Walker

__all__ = ["Collision", "Pallet", "Simulation", "SimulationConfig", "Walker"]

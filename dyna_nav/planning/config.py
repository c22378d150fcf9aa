"""Everything that can be set about the planner."""

from __future__ import annotations

from dataclasses import dataclass, field

from dyna_nav.mdp import Bins, GoalTolerance, Reward
from dyna_nav.ood import OODConfig
from dyna_nav.parameters import parameter
from dyna_nav.planning.admissible import BrakingConfig
from dyna_nav.planning.lattice import PotentialConfig
from dyna_nav.planning.making_way import MakingWayConfig
from dyna_nav.planning.obstacles import ObstacleConfig
from dyna_nav.planning.track import MovingConfig
from dyna_nav.safety.circuit_breaker import CircuitBreakerConfig


@dataclass(frozen=True)
class Dyna2Config:
    """Simulation policy, horizon, penalties and learning rates."""

    rollouts: int = parameter(20, "imagined trajectories per robot and cycle, at most", minimum=10, maximum=2000)
    model_rows: int = parameter(
        320, "rows that the model predicts per imagined step, all robots together", minimum=10, maximum=100_000
    )
    horizon: int = parameter(10, "steps of a rollout", minimum=1, maximum=100)
    cautious_horizon: int = parameter(5, "steps of a rollout when the ensemble is uncertain", minimum=1, maximum=100)
    uncertain: float = parameter(0.3, "uncertainty above which rollouts are cautious", minimum=0, maximum=100)
    very_uncertain: float = parameter(0.5, "uncertainty above which a rollout is cut short", minimum=0, maximum=100)
    uncertainty_penalty: float = parameter(0.1, "price per step of uncertainty beyond uncertain", minimum=0, maximum=10)
    change: float = parameter(0.15, "probability per step that a rollout changes its action", minimum=0, maximum=1)
    greedy: float = parameter(0.5, "share of those changes that go to the greedy action", minimum=0, maximum=1)
    guided: int = parameter(
        3, "rollouts of each action that hold it for 3, 1, 5 ... steps and are greedy from there", minimum=0, maximum=50
    )
    transient_rate: float = parameter(0.2, "learning rate of the transient memory", minimum=0, maximum=1)
    transient_half_life: float = parameter(
        3.0, "time after which what was imagined, and is not again, counts half [s]", minimum=0.1, maximum=1e6
    )
    permanent_rate: float = parameter(0.05, "learning rate of the permanent memory", minimum=0, maximum=1)
    promise: float = parameter(
        0.0, "what both memories may add to the potential at most, in rewards", minimum=0, maximum=1e6
    )
    near: float = parameter(0.4, "gap to another robot below which coming nearer costs [m]", minimum=0.01, maximum=5)
    near_price: float = parameter(0.2, "price of touching distance to another robot, per second", minimum=0, maximum=10)
    foreseen_margin: float = parameter(
        0.5,
        "share of the braking rule's margins for laser returns that rollouts keep from all that stands",
        minimum=0,
        maximum=2,
    )
    missing_speed: float = parameter(
        0.5, "share of the time that regaining full speed takes which counts as time to go", minimum=0, maximum=2
    )
    shared_predictions: bool = parameter(
        True, "robots tell each other what they plan; otherwise each is taken to go on as it does"
    )
    right_of_way: bool = parameter(
        True, "robots choose in the order of their time to go; otherwise in one that changes at random"
    )


@dataclass(frozen=True)
class PlannerConfig:
    """Everything that can be set about the planner."""

    dyna2: Dyna2Config = field(default_factory=Dyna2Config)
    braking: BrakingConfig = field(default_factory=BrakingConfig)
    obstacles: ObstacleConfig = field(default_factory=ObstacleConfig)
    moving: MovingConfig = field(default_factory=MovingConfig)
    potential: PotentialConfig = field(default_factory=PotentialConfig)
    making_way: MakingWayConfig = field(default_factory=MakingWayConfig)
    tolerance: GoalTolerance = field(default_factory=GoalTolerance)
    reward: Reward = field(default_factory=Reward)
    bins: Bins = field(default_factory=Bins)
    breaker: CircuitBreakerConfig = field(default_factory=CircuitBreakerConfig)
    detector: OODConfig = field(default_factory=OODConfig)
    speeds: tuple[float, ...] = parameter(
        (0.0, 0.5, 1.0), "speeds of the actions, fractions of full", minimum=0, maximum=1
    )
    budget_ms: float = parameter(
        34.0,
        "time of a whole cycle; its rollouts end when the rest is needed to choose and to send; 0: never [ms]",
        minimum=0,
        maximum=1000,
    )

"""After the rehearsal nothing is compiled: a run gives no kernel a signature that the rehearsal did not give it.

The run happens in a process of its own, because other tests have called kernels of their own accord.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WATCHED = ("planning", "world_model", "ood", "site", "safety", "viewpoint", "mdp")  # what plans, of dyna_nav
CYCLES, ROBOTS = 60, 4


@pytest.fixture(scope="module")
def outcome():
    pytest.importorskip("mujoco")
    root = Path(__file__).resolve().parent.parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    run = subprocess.run([sys.executable, __file__], env=environment, cwd=root, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_nothing_is_compiled_after_the_rehearsal(outcome):
    assert outcome["new"] == {}


def test_the_run_holds_what_happens_in_runs(outcome):
    assert set(outcome["happened"]) == {
        "arrives", "is planned", "falls back", "makes way", "asks for a detour", "memory grows", "a sensor fails",
    }  # fmt: skip


def kernels() -> dict:
    """Every compiled function that modules of the watched packages hold, by name; with its signatures."""
    from numba.core.dispatcher import Dispatcher

    found = {}
    for name, module in list(sys.modules.items()):
        if name.startswith(tuple(f"dyna_nav.{package}" for package in WATCHED)):
            for entry in vars(module).values():
                if isinstance(entry, Dispatcher):
                    function = entry.py_func
                    found[f"{function.__module__}.{function.__name__}"] = list(map(str, entry.signatures))
    return found


def main() -> None:
    """Rehearse, then drive for CYCLES cycles through all that a run may hold; write what was compiled meanwhile."""
    import numpy as np
    from planning_worlds import MODEL, hall

    from dyna_nav.planning import Dyna2Controller, PlannerConfig
    from dyna_nav.planning.making_way import MakingWayConfig
    from dyna_nav.rehearsal import rehearse
    from dyna_nav.simulation import Pallet, Simulation

    ends = [(1.5, 0.9, 0.0), (12.5, 0.9, np.pi), (1.5, 4.2, 0.0), (12.5, 4.2, np.pi)]
    site = hall(14, 5, [(3, 1.8, 11, 3.4)], stations=ends)  # a rack with an aisle on either side
    config = PlannerConfig(making_way=MakingWayConfig(patience=0.5))
    rehearse(Dyna2Controller.from_bundle(config=config), site, ROBOTS, MODEL)
    before = kernels()

    controller = Dyna2Controller.from_bundle(config=config)
    controller.reset(site, ROBOTS, np.random.default_rng(1), MODEL)
    # One robot is nearly there, one has far to go, and two meet in an aisle.
    poses = np.array([(2.2, 4.2, np.pi), (12.5, 4.2, np.pi), (6.0, 0.9, 0.0), (7.2, 0.9, np.pi)])
    simulation = Simulation(site, ROBOTS, 1, poses=poses, pallets=[Pallet(12.4, 2.6, 0.0)])
    for number, goal in enumerate((ends[2], ends[0], ends[1], ends[0])):
        controller.assign(number, np.array(goal))
    permanent, routes, watch = controller._memories.permanent, controller._routes, controller._vigilance.watch
    happened = set()
    for cycle in range(CYCLES):
        if cycle == 15:
            size, rng = permanent.keys.size, np.random.default_rng(2)
            while permanent.keys.size == size:
                permanent.learn((*rng.uniform(0, 5, 2), rng.uniform(-3, 3)), rng.uniform(0, 1.5), 0.9, 0, 0.1, 0.1)
            happened.add("memory grows")
        if cycle == 25:
            controller.assign(1, None)
            controller.assign(0, np.array(ends[3]))
        if cycle == 30:  # as if the circuit breaker had opened for all
            controller._vigilance.watch = lambda observation: dataclasses.replace(
                watch(observation), distrusted=np.ones(ROBOTS, bool), speed_scale=np.full(ROBOTS, 0.5)
            )
        if cycle == 45:
            controller._vigilance.watch = watch
        controller.wait_for_potentials()
        age = np.full(ROBOTS, 0.05)
        seen = dataclasses.replace(simulation.observe(), pose_age=age, scan_age=age)  # as the planner's node fills it
        if cycle % 20 == 7:
            seen.pose[cycle % ROBOTS], seen.scan[(cycle + 1) % ROBOTS, ::3] = np.nan, np.nan
            happened.add("a sensor fails")
        commands = controller.act(seen)
        simulation.step(commands)
        controller.executed(np.zeros((ROBOTS, 2)) if cycle % 10 == 3 else commands)
        for event, seen in {
            "arrives": controller.report.arrived,
            "is planned": controller._last.planned,
            "falls back": controller._last.fallback,
            "makes way": routes.makes_way,
            "asks for a detour": [asked is not None for asked in routes._detours._asked],
        }.items():
            if any(seen):
                happened.add(event)
    print(json.dumps({"new": new_since(before), "happened": sorted(happened)}))
    controller.close()


def new_since(before: dict) -> dict:
    """The signatures that kernels have and did not have before, by name."""
    return {
        name: sorted(set(signatures) - set(before.get(name, [])))
        for name, signatures in kernels().items()
        if set(signatures) - set(before.get(name, []))
    }


if __name__ == "__main__":
    main()

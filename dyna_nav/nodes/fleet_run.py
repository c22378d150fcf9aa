"""``dyna-nav fleet``: the whole fleet as processes, watched, restarted where that is safe, and ended in order.

simulator, map_publisher   the warehouse; a run cannot survive the simulator's end
velocity_gate, planner     the robots' safety and mind; started again whenever they end
dispatcher                 the work; a run cannot survive its end either
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from dyna_nav.controller import make_controller
from dyna_nav.mdp import RobotModel
from dyna_nav.nodes.child_process import ChildProcess, free_domain, stop_all
from dyna_nav.nodes.controllers import memory_folder
from dyna_nav.nodes.cpu_share import CpuShares
from dyna_nav.nodes.fleet_monitor import FleetMonitor
from dyna_nav.nodes.fleet_results import completed, draw_picture, results, summary, write_json
from dyna_nav.nodes.fleet_view import in_words, make_view
from dyna_nav.nodes.process_environment import ros_environment
from dyna_nav.nodes.transport import this_machine_only
from dyna_nav.nodes.trips import TripConfig, TripStream
from dyna_nav.parameters import check as check_ranges
from dyna_nav.simulation import spawn_poses
from dyna_nav.simulation.rounds import check_people
from dyna_nav.site import Site, resolve_site
from dyna_nav.whole_file import check_writable, make_folder
from dyna_nav.world_model import load_bundle

RESTARTED = ("planner", "velocity_gate")
PATIENCE = 60.0  # the first command must come within [s]
SIMULATOR_SILENCE = 10.0  # without odometry for so long the simulator hangs [s]
SILENCE = 5.0  # without diagnostics for so long a process that is started again hangs [s]
EARLIEST_WORD = 1.0  # what is heard sooner after a start is still from the process before [s]
PAUSE = 1.0  # not having looked for so long, this process itself was stopped [s]
MOST_RESTARTS = 20  # of one process, before the run is given up
BRAKING = 1.2  # longest wait for the robots to stand before the processes end [s]
LISTENING = 0.3  # what arrives for so long after they stand still counts [s]
LAST_WORDS = 200  # messages that are read at most once every process has ended
ACCOUNTS = 1.0  # how often the processor time of the processes is read [s]
LEAVING = 0.7  # time that each group of processes has to end by itself [s]


@dataclass(frozen=True)
class FleetOptions:
    """What the command line asks for."""

    map: str = "default"
    model: str = ""  # empty: the bundle that ships with the package
    robots: int = 4
    people: int = 0
    trips: int = 0  # 0: without end
    duration: float = 0.0  # [s]; 0: until the trips are made
    seed: int = 0
    headless: bool = False
    json: str = ""
    picture: str = ""
    memory: str = ""
    controller: str = ""


class RunFailed(Exception):
    """A run that cannot go on: one sentence for the user."""


def run_fleet(options: FleetOptions) -> int:
    """Drive a fleet as the options say; returns the exit status.

    0: every trip asked for was completed without a collision; 1: not so; 130: Ctrl-C. Raises ValueError or OSError,
    one sentence, before any process starts when the map, the model or an option cannot be used.
    """
    site = check(options)
    domain = free_domain()
    names = [f"r{index + 1}" for index in range(options.robots)]
    folder = Path(tempfile.mkdtemp(prefix="dyna-nav-fleet-"))
    environment = ros_environment(domain)
    children = make_children(options, names, environment, folder)
    os.environ.update(this_machine_only(os.environ))
    rclpy.init(args=[], domain_id=domain, signal_handler_options=SignalHandlerOptions.NO)
    return FleetRun(options, site, names, children, folder).run()


def check(options: FleetOptions) -> Site:
    """The site, after everything that a run needs was found usable. Raises ValueError or OSError, one sentence."""
    site = resolve_site(options.map)
    if options.controller:
        controller = make_controller(options.controller)
        if hasattr(controller, "close"):
            controller.close()
    else:
        load_bundle(options.model or None)
    trips = TripConfig(trips=options.trips, seed=options.seed)
    check_ranges(trips)
    TripStream(site, options.robots, trips)
    if options.people:
        radius = RobotModel().radius
        check_people(site, spawn_poses(site, options.robots, radius, options.seed)[:, :2], radius)
    for file in filter(None, (options.json, options.picture)):
        check_writable(file)
    if memory := memory_folder(options.memory):
        make_folder(memory)
    return site


def make_children(options: FleetOptions, names: list[str], environment: dict, folder: Path) -> list[ChildProcess]:
    """The processes of a run, in the order in which they start; their parameters go into a file in the folder."""
    site = str(Path(options.map).resolve()) if options.map != "default" and ":" not in options.map else options.map
    common = {"robots": names, "map": site, "seed": options.seed}
    planner = {**common, "use_sim_time": True, "memory": options.memory}
    if options.model:
        planner["model"] = str(Path(options.model).resolve())
    if options.controller:
        planner["controller"] = options.controller
    parameters = {
        "simulator": {**common, "people": options.people},
        "velocity_gate": {"robots": names, "use_sim_time": True},
        "planner": planner,
        "dispatcher": {**common, "use_sim_time": True, "trips": options.trips},
        "map_publisher": {"map": site, "use_sim_time": True},
    }
    file = folder / "parameters.yaml"
    # JSON is YAML, and knows no aliases, which ROS does not read.
    file.write_text(json.dumps({name: {"ros__parameters": entry} for name, entry in parameters.items()}, indent=2))
    arguments = ["--ros-args", "--params-file", str(file)]
    return [
        ChildProcess(name, f"dyna_nav.nodes.{name}", arguments, environment, folder)
        for name in ("planner", "simulator", "velocity_gate", "dispatcher", "map_publisher")
    ]


class FleetRun:
    """One run from the first process to the last."""

    def __init__(
        self, options: FleetOptions, site: Site, names: list[str], children: list[ChildProcess], folder: Path
    ) -> None:
        self.options, self.site, self.folder = options, site, folder
        self.children = {child.name: child for child in children}
        self.monitor = FleetMonitor(names)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.monitor)
        self._signal: int | None = None
        self.restarts: dict[str, int] = {}
        self.killed: list[str] = []
        self._looked = time.monotonic()
        self._shares, self._accounts_due = CpuShares(), 0.0

    def run(self) -> int:
        """Start, watch, stop, judge."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note_signal)
        view = make_view(self.monitor, self.options, self.folder)
        failure = None
        try:
            with view:
                for child in self.children.values():
                    child.start()
                while not self._ended():
                    self._executor.spin_once(timeout_sec=0.1)
                    self._look_after(view)
                    self._keep_accounts()
                    view.update()
        except RunFailed as problem:
            failure = problem
        finally:
            self._stop()
        outcome = results(self.monitor, self.options, self.restarts, self.killed, self._shares.shares())
        status = self._judge(outcome, failure)
        self._executor.shutdown()
        self.monitor.destroy_node()
        rclpy.try_shutdown()
        return status

    def _note_signal(self, number: int, _: object) -> None:
        self._signal = number

    def _ended(self) -> bool:
        if self._signal is not None or self.monitor.status.get("done"):
            return True
        began = self.monitor.first_command_s
        driven = time.monotonic() - self.monitor.began - (began or 0.0)
        return bool(self.options.duration and began is not None and driven >= self.options.duration)

    def _look_after(self, view) -> None:
        """Start again what may be started again; raise RunFailed for what cannot go on."""
        self._end_what_hangs(view)
        for child in self.children.values():
            if child.running:
                continue
            how = describe_exit(child.exit_status)
            hopeless = child.exit_status >= 0 and self.monitor.first_command_s is None  # it cannot even begin
            if child.name not in RESTARTED or hopeless or child.starts > MOST_RESTARTS:
                raise RunFailed(f"{child.name} {how}; its last words:\n{child.last_words()}")
            self.restarts[child.name] = self.restarts.get(child.name, 0) + 1
            view.tell(f"{child.name} {how}; started again")
            child.start()
        if self.monitor.first_command_s is None and self.monitor.planner.state == "unconfigured":
            words = self.children["planner"].last_words()
            raise RunFailed(f"the planner could not be configured; its last words:\n{words}")
        if self.monitor.first_command_s is None and time.monotonic() - self.monitor.began > PATIENCE:
            words = self.children["planner"].last_words()
            robots = ", ".join(f"{name} {in_words(self.monitor, name)}" for name in self.monitor.names)
            raise RunFailed(
                f"no robot was given a command within {PATIENCE:g} s ({robots}); the planner's last words:\n{words}"
            )

    def _keep_accounts(self) -> None:
        """Processor time counts from the first command on: what starting costs says nothing about driving."""
        if self.monitor.first_command_s is not None and time.monotonic() >= self._accounts_due:
            self._read_accounts()

    def _read_accounts(self) -> None:
        self._accounts_due = time.monotonic() + ACCOUNTS
        running = {child.name: child.pid for child in self.children.values() if child.running}
        self._shares.look({**running, "fleet": os.getpid()})

    def _end_what_hangs(self, view) -> None:
        """Kill a planner or gate that has fallen silent; raise RunFailed for such a simulator."""
        now = time.monotonic()
        if now - self._looked > PAUSE:  # meanwhile nobody was listened to
            self.monitor.heard = dict.fromkeys(self.monitor.heard, now)
        self._looked = now
        if self._silence("simulator") > SIMULATOR_SILENCE:
            raise RunFailed(f"the simulator hangs: no odometry of any robot for {SIMULATOR_SILENCE:g} s")
        for name in RESTARTED:
            if self.children[name].running and self._silence(name) > SILENCE:
                view.tell(f"{name} has said nothing for {SILENCE:g} s and is killed")
                self.children[name].signal(signal.SIGKILL)
                self.children[name].reap(LEAVING)
                self.killed.append(name)

    def _silence(self, name: str) -> float:
        """Time since the last word of a process [s]; 0 while it has not spoken since its start."""
        heard = self.monitor.heard.get(name, -math.inf)
        return time.monotonic() - heard if heard > self.children[name].started + EARLIEST_WORD else 0.0

    def _stop(self) -> None:
        """The robots first: the planner's last word is zero, and the gates hold them; then everything else.

        All that happens until the end is judged: a robot can collide while it brakes.
        """
        self.monitor.ending = True
        moved = self.monitor.first_command_s is not None
        if moved:
            self._read_accounts()
        self.killed += stop_all([self.children["planner"], self.children["dispatcher"]], LEAVING)
        now = time.monotonic()
        deadline, stood = now + BRAKING * moved, now
        while self.children["simulator"].running and now < min(deadline, stood + LISTENING):
            self._executor.spin_once(timeout_sec=0.05)
            now = time.monotonic()
            stood = stood if self.monitor.standing else now
        self.killed += stop_all(self.children.values(), LEAVING)
        for _ in range(LAST_WORDS):
            self._executor.spin_once(timeout_sec=0.0)
        self.monitor.look()

    def _judge(self, outcome: dict, failure: RunFailed | None) -> int:
        """Say how it went, write what was asked for, and return the exit status."""
        print(summary(outcome))
        print(f"logs: {self.folder}")
        if self.options.json:
            write_json(outcome, self.options.json)
        if self.options.picture:
            draw_picture(self.site, self.monitor, outcome, self.options.picture)
        if failure is not None:
            print(f"dyna-nav fleet: {failure}", file=sys.stderr)
            return 1
        if self._signal is not None:
            return 128 + self._signal
        return 0 if completed(outcome) else 1


def describe_exit(status: int | None) -> str:
    """How a process ended, in words."""
    if status is not None and status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with exit status {status}"

"""What happens inside imagined trajectories: the simulation policy, the simulated reward, the values where they end.

Kernels over rows (one row is one rollout of one robot), called once per imagined step by imagination.py.
Rows are ordered member first, then robot, then rollout, because each member of the ensemble predicts its own block.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from dyna_nav.mdp import STEP
from dyna_nav.planning.admissible import approach
from dyna_nav.planning.memory import value
from dyna_nav.planning.obstacles import clearance_at
from dyna_nav.planning.potential import UNREACHABLE, interpolate
from dyna_nav.planning.straight_way import missing_time
from dyna_nav.world_model.encoding import BODY_POINTS

FREE = 1 << 30  # number of a rollout that changes at random
_LOOKAHEAD = 0.4  # how far the simulation policy looks ahead with nominal kinematics [s]
_TOUCH = 0.005  # coming nearer by less is not coming nearer [m]
_CREEP = 0.1  # a speed that is reckoned with wherever a robot may be [m/s]
_STANDS = 0.05  # who is not faster is walked into, and runs into nobody [m/s]
NO_WAY = 5e3  # time to go from which on no way leads to the goal [s]
_SEARCH = 5  # lattice cells around a position outside the lattice within which the nearest value is taken


@njit(cache=True, nogil=True)
def way_to_go(field, lattice, x, y, yaw, full):
    """Time [s] to the goal at full speed [m/s] from a pose: the lattice's time to go.

    lattice: origin x, y and resolution [m]. Where the lattice has no value (a robot pushed against a wall) the nearest
    cell's counts, plus driving there at a tenth of full speed; more than NO_WAY where there is none.
    """
    time = interpolate(field, lattice[0], lattice[1], lattice[2], x, y, yaw)
    if time >= UNREACHABLE:
        rows, cols = field.shape[0], field.shape[1]
        row, col = int((y - lattice[1]) / lattice[2]), int((x - lattice[0]) / lattice[2])
        time, nearest = 2.0 * NO_WAY, np.inf
        for r in range(max(0, row - _SEARCH), min(rows, row + _SEARCH + 1)):
            for c in range(max(0, col - _SEARCH), min(cols, col + _SEARCH + 1)):
                best = field[r, c, 0]
                for h in range(1, field.shape[2]):
                    best = min(best, field[r, c, h])
                distance = math.hypot(lattice[0] + (c + 0.5) * lattice[2] - x, lattice[1] + (r + 0.5) * lattice[2] - y)
                if best < UNREACHABLE and distance < nearest:
                    nearest = distance
                    time = best + 10.0 * distance / full
    return time


@njit(cache=True, nogil=True)
def steps_to_go(field, lattice, x, y, yaw, speed, motion):
    """Steps to the goal from a pose at a speed [m/s]; motion: straight_way.motion_of."""
    time = way_to_go(field, lattice, x, y, yaw, motion[0])
    return (time + missing_time(time, speed, motion)) / STEP


@njit(cache=True, nogil=True)
def potential_of(field, lattice, x, y, yaw, speed, motion, reward):
    """Phi(s) = goal reward plus the step reward of every step still to go."""
    return reward[0] + reward[1] * steps_to_go(field, lattice, x, y, yaw, speed, motion)


@njit(cache=True, nogil=True)
def learned_value(memories, robot, x, y, yaw, speed, battery, goal_index):
    """Sum of permanent and transient memory at a state (Dyna-2, section 3), at most what they may promise.

    The potential is optimistic, so that should be nothing. But a table that is interpolated promises something on one
    side of what it has learned to fear on the other, and bootstrapping would keep a promise alive: a robot would stay
    where it believes that standing is worth more than arriving.
    """
    layout, keys, weights, transient_layout, transient_keys, transient_weights, most = memories
    total = value(layout, keys, weights, x, y, yaw, speed, battery, goal_index[robot])
    total += value(transient_layout, transient_keys, transient_weights, x, y, yaw, speed, battery, robot)
    return min(total, most)


@njit(cache=True, nogil=True)
def greedy_action(field, lattice, memories, robot, pose, twist, battery, goal_index, actions, motion, limits, reward,
                  radius, live, geometry, mask):  # fmt: skip
    """Action (of those allowed by mask) with the best nominal outcome 0.4 s ahead by potential and both memories.

    Of equal ones the slowest (a robot that is told to stop is as fast after 0.4 s as one that is told to slow down),
    and of these the one that turns least. The memories, which take most of the time, are asked only where what they
    may promise could make a difference.
    """
    best, best_value = 1, -np.inf
    for action in range(actions.shape[0]):
        if not mask[action]:
            continue
        x, y, yaw, v, w = pose[0], pose[1], pose[2], twist[0], twist[1]
        for _ in range(int(_LOOKAHEAD / STEP + 0.5)):
            v = approach(v, actions[action, 0], limits[0] * STEP, limits[1] * STEP)
            w = approach(w, actions[action, 1], limits[2] * STEP, limits[2] * STEP)
            yaw += w * STEP
            x += v * STEP * math.cos(yaw - 0.5 * w * STEP)
            y += v * STEP * math.sin(yaw - 0.5 * w * STEP)
        outcome = potential_of(field, lattice, x, y, yaw, v, motion, reward)
        if clearance_at(live, geometry[0], geometry[1], geometry[2], x, y) < radius:
            outcome += reward[2]
        if outcome + memories[-1] < best_value:
            continue
        outcome += learned_value(memories, robot, x, y, yaw, v, battery, goal_index)
        straighter = actions[action, 0] == actions[best, 0] and abs(actions[action, 1]) < abs(actions[best, 1])
        if outcome > best_value or (outcome == best_value and straighter):
            best, best_value = action, outcome
    return best


@njit(cache=True, nogil=True)
def choose(step, robot_of, number_of, chosen, running, pose, twist, battery, warm, dice, change, greedy, hold, fields,
           lattice, memories, goal_index, actions, motion, limits, reward, radius, live, geometry):  # fmt: skip
    """The simulation policy: write the action of every running row for this step into chosen [steps, rows].

    Rollouts begin with each action in turn. The k-th of an action holds it for hold[k] steps and takes the greedy
    action, by the potential and the sum of the memories, from there on; after the first of every action one rollout
    repeats what was best in the last cycle (warm [robots, steps]). All others change their action with probability
    ``change``: to the greedy one with probability ``greedy``, else to any. dice [rows, 3] are uniform in [0, 1).
    """
    count = actions.shape[0]
    everything = np.ones(count, np.bool_)
    for row in range(robot_of.size):
        if not running[row]:
            continue
        robot, number = robot_of[row], number_of[row]
        if number == count:
            chosen[step, row] = warm[robot, step]
            continue
        if step == 0:
            chosen[0, row] = number % count
            continue
        block = (number - (number > count)) // count  # what repeats the last cycle is in none
        if block < hold.size:
            keeps, turns_greedy = step < hold[block], True
        else:
            keeps, turns_greedy = dice[row, 0] >= change, dice[row, 1] < greedy
        if keeps:
            chosen[step, row] = chosen[step - 1, row]
        elif turns_greedy:
            chosen[step, row] = greedy_action(
                fields[robot], lattice, memories, robot, pose[row], twist[row], battery[row], goal_index, actions,
                motion, limits, reward, radius, live, geometry, everything,
            )  # fmt: skip
        else:
            chosen[step, row] = int(dice[row, 2] * count)


@njit(cache=True, nogil=True)
def live_clearances(pose, live, geometry, out):
    """Clearance [rows, points] of the map as it is now at each row's body points (the model's input)."""
    for row in range(pose.shape[0]):
        cos, sin = math.cos(pose[row, 2]), math.sin(pose[row, 2])
        for point in range(BODY_POINTS.shape[0]):
            x = pose[row, 0] + cos * BODY_POINTS[point, 0] - sin * BODY_POINTS[point, 1]
            y = pose[row, 1] + sin * BODY_POINTS[point, 0] + cos * BODY_POINTS[point, 1]
            out[row, point] = clearance_at(live, geometry[0], geometry[1], geometry[2], x, y)


@njit(cache=True, nogil=True)
def judge(step, robot_of, running, pose, twist, goal, tolerance, potential, delay, fields, lattice, motion, reward,
          radius, margins, live, geometry, predicted, contact, nearness, penalty, start):  # fmt: skip
    """Shaped reward of one imagined step, written into delay [steps, rows]; ends rows that collide or arrive.

    delay = r + Phi(s') - Phi(s) - penalty, with Phi(goal) = 0 after the goal's reward. predicted [others, steps + 1, 2]
    are the positions [m] at which others are expected, the fleet first (NaN: absent), contact [others] the distances
    [m] at which they are touched; nearness: distance beyond contact [m] and price per second of coming nearer than
    that. penalty [rows] is the uncertainty's. margins: distance [m] to keep from what stands, and how much more per
    m/s: of a step that is faster the way costs its time that is lost when the braking rule sees to that.
    Who is in touch with something already at the start [rows, 2] (or seems to be, by the noise of localisation) crashes
    only by coming nearer to it. Who stands when somebody walks into them does not crash: nothing that a robot can do
    is better than that, and a place is no worse because somebody is passing.
    """
    fleet = fields.shape[0]
    for row in range(robot_of.size):
        if not running[row]:
            continue
        robot = robot_of[row]
        x, y, yaw = pose[row, 0], pose[row, 1], pose[row, 2]
        gained = reward[1] - penalty[row]
        room = clearance_at(live, geometry[0], geometry[1], geometry[2], start[row, 0], start[row, 1])
        clearance = clearance_at(live, geometry[0], geometry[1], geometry[2], x, y)
        crash = clearance < min(radius, room - _TOUCH)
        spare = max(clearance - radius - margins[0], margins[1] * _CREEP)
        if margins[1] * twist[row, 0] > spare:
            gained += reward[1] * (1.0 - spare / (margins[1] * twist[row, 0]))
        for other in range(predicted.shape[0]):
            if other == robot or math.isnan(predicted[other, 0, 0]):
                continue
            gap = math.hypot(x - predicted[other, step + 1, 0], y - predicted[other, step + 1, 1]) - contact[other]
            if gap < 0.0 and other >= fleet and abs(twist[row, 0]) <= _STANDS:
                gained -= nearness[1] * STEP
            elif gap < 0.0:
                room = math.hypot(start[row, 0] - predicted[other, 0, 0], start[row, 1] - predicted[other, 0, 1])
                crash = crash or gap < room - contact[other] - _TOUCH
            elif gap < nearness[0]:
                gained -= nearness[1] * STEP * (1.0 - gap / nearness[0])
        heading_error = abs((yaw - goal[row, 2] + math.pi) % (2 * math.pi) - math.pi)
        if crash:
            delay[step, row] = gained + reward[2]
            running[row] = False
        elif (
            math.hypot(x - goal[row, 0], y - goal[row, 1]) <= tolerance[0]
            and heading_error <= tolerance[1]
            and abs(twist[row, 0]) <= tolerance[2]
        ):
            delay[step, row] = gained + reward[0] - potential[row]
            running[row] = False
        else:
            after = potential_of(fields[robot], lattice, x, y, yaw, twist[row, 0], motion, reward)
            delay[step, row] = gained + after - potential[row]
            potential[row] = after


@njit(cache=True, nogil=True)
def returns(length, robot_of, running, delay, states, memories, goal_index, discount, out):
    """Return of every row from every step, out [steps + 1, rows]: discounted delays, then the sum of both memories.

    states [steps + 1, rows, 5] are x, y, yaw, speed, battery; length [rows] the steps each row took.
    """
    for row in range(robot_of.size):
        last = length[row]
        total = 0.0
        if running[row]:  # neither crashed nor arrived: what follows is bootstrapped
            s = states[last, row]
            total = learned_value(memories, robot_of[row], s[0], s[1], s[2], s[3], s[4], goal_index)
        out[last, row] = total
        for step in range(last - 1, -1, -1):
            total = delay[step, row] + discount * total
            out[step, row] = total

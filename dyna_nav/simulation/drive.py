"""What runs inside the robot's base: firmware ramps, wheel servos' torque limits, wheel odometry, battery drain."""

from __future__ import annotations

import math

from numba import njit


@njit(cache=True, nogil=True)
def drive_tick(
    target, stalled, charging, setpoint, limits, geometry, torques, power, dt, battery, wheels, qvel, force, ctrl,
    force_range,
):  # fmt: skip
    """One physics step of every base, in place.

    target [n, 2] (m/s, rad/s) is what was commanded; setpoint [n, 2] follows it within limits (max speed, max turn
    rate, acceleration, deceleration, turn acceleration). geometry: wheel radius, distance of a wheel from the centre
    [m]. torques: driving, braking [N m], servo gain [N m s/rad]. power: idle, charging [W], efficiency, capacity [J].
    wheels [n, 2] are the addresses in qvel of the wheels' speeds, force [2 n] is what the motors give; ctrl [2 n]
    (rad/s) and force_range [2 n, 2] are what they are told. A robot that is stalled or has a flat battery stands.
    """
    wheel, half_track = geometry
    for i in range(target.shape[0]):
        left, right = wheel * qvel[wheels[i, 0]], wheel * qvel[wheels[i, 1]]
        if stalled[i] or battery[i] <= 0.0:
            speed = turn = 0.0
        else:
            speed = min(max(target[i, 0], -limits[0]), limits[0])
            turn = min(max(target[i, 1], -limits[1]), limits[1])
        # A base too weak for its ramp (heavy load, wall) must not hoard speed that braking would first have to undo.
        # So the setpoint stays where the servos' torque is just exhausted.
        drive, brake = wheel * torques[0] / torques[2], wheel * torques[1] / torques[2]
        mean = 0.5 * (left + right)
        above, below = (drive, brake) if mean >= 0.0 else (brake, drive)
        now = min(max(setpoint[i, 0], mean - below), mean + above)
        # Towards standstill the brakes' limit holds, away from it the motors'.
        braking = now * (speed - now) < 0.0
        if braking and speed * now < 0.0:
            speed = 0.0
        change = (limits[3] if braking else limits[2]) * dt
        setpoint[i, 0] = now + min(max(speed - now, -change), change)
        mean, band = 0.5 * (right - left) / half_track, brake / half_track
        now = min(max(setpoint[i, 1], mean - band), mean + band)
        change = limits[4] * dt
        setpoint[i, 1] = now + min(max(turn - now, -change), change)
        watts = power[0]
        for side in range(2):
            k = 2 * i + side
            rim = setpoint[i, 0] + (setpoint[i, 1] if side == 1 else -setpoint[i, 1]) * half_track
            ctrl[k] = rim / wheel
            rolling = qvel[wheels[i, side]]
            force_range[k, 0] = -(torques[1] if rolling > 0.0 else torques[0])
            force_range[k, 1] = torques[1] if rolling < 0.0 else torques[0]
            watts += max(0.0, force[k] * rolling) / power[2]
        if charging[i]:
            watts -= power[1]
        battery[i] = min(max(0.0, battery[i] - watts * dt / power[3]), 1.0)


@njit(cache=True, nogil=True)
def sensor_tick(error, twist, noise, sigma, keep, geometry, wheels, bases, qvel):
    """One physics step of localisation and odometry, in place.

    error [n, 3] (m, m, rad) wanders about zero (Ornstein-Uhlenbeck, exact for a step with keep = exp(-dt / tau));
    twist [n, 2] is the wheels' mean speed and the gyroscope's rate. noise [n, 5] is standard normal, sigma [5] its
    scale; geometry as in drive_tick; wheels [n, 2] and bases [n] are addresses in qvel.
    """
    fresh = math.sqrt(1.0 - keep * keep)
    for i in range(error.shape[0]):
        for axis in range(3):
            error[i, axis] = keep * error[i, axis] + fresh * sigma[axis] * noise[i, axis]
        mean = 0.5 * geometry[0] * (qvel[wheels[i, 0]] + qvel[wheels[i, 1]])
        twist[i, 0] = mean + sigma[3] * noise[i, 3]
        twist[i, 1] = qvel[bases[i] + 5] + sigma[4] * noise[i, 4]


@njit(cache=True, nogil=True)
def touching_pairs(geoms, distance, owner, robots, pairs, where):
    """Pairs [k, 2] of owners in contact with a robot among them; where [k] is the contact's index. Returns k.

    geoms [contacts, 2], distance [contacts] (m, negative: overlap); owner [geoms]. Each pair once, the robot (of two:
    the lower one) first; contacts with the floor (owner -1) do not count.
    """
    count = 0
    for c in range(geoms.shape[0]):
        if distance[c] > 0.0 or count == pairs.shape[0]:
            continue
        a, b = owner[geoms[c, 0]], owner[geoms[c, 1]]
        if a == -1 or b == -1 or a == b:
            continue
        if b >= 0 and (a < 0 or b < a):
            a, b = b, a
        if a < 0 or a >= robots:
            continue
        known = False
        for k in range(count):
            known = known or (pairs[k, 0] == a and pairs[k, 1] == b)
        if not known:
            pairs[count, 0], pairs[count, 1], where[count] = a, b, c
            count += 1
    return count

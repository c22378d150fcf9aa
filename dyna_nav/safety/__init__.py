"""Three layers of safety that do not share a failure: pure functions and small classes, no ROS, no torch, no numba.

``braking`` and ``gate``   what the velocity gate decides, in a process of its own
``deadline``               the planner's own clock, and the watchdog that acts when the planner does not
``reserve``                how much of a cycle's time is left for imagining
``circuit_breaker``        when the world model is wrong too often to plan with
``inputs``                 one clear sentence for every input that must not be believed
"""

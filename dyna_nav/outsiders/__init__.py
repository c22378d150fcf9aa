"""Planners of other people, each run through its own package, as opponents in the evaluation.

They know what Dyna-2 knows (time to go over position and heading, the live map, the robots' poses and speeds) and are
optional: the extra ``outsiders`` installs what they need. Nothing that runs on a robot imports them.
"""

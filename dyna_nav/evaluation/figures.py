"""What a page of results shows: how each figure is called, written and rounded, and which pictures there are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """heading: of a column; says: in a sentence; form: of the number, after scaling."""

    heading: str
    says: str
    form: str
    scale: float = 1.0
    unit: str = ""

    def shown(self, value: float | None) -> str:
        """The value as the page writes it."""
        if value is None:
            return "-"
        scaled = round(value) if self.form.endswith("d") else self.scale * value
        return format(scaled, self.form) + self.unit


COLUMNS = {  # of every table, by their keys in a summary
    "trips": Figure("trips", "traversals driven", ",d"),
    "unfinished": Figure("not finished", "trips left unfinished", "d"),
    "travel_time_vs_ideal": Figure("time / ideal", "travel time / ideal", ".3f"),
    "least_vs_ideal": Figure("least / ideal", "least possible time / ideal", ".3f"),
    "ratio_p99": Figure("p99", "99th percentile of time / ideal", ".2f"),
    "trips_within_3x": Figure("within 3 x", "trips finished within 3 x ideal", ".2f", 100.0, " %"),
    "collisions": Figure("collisions", "collisions", "d"),
    "collisions_per_traversal": Figure("per traversal", "collisions per traversal", ".3f", 100.0, " %"),
    "collisions_with_still": Figure("with still things", "collisions with things that stand still", "d"),
    "near_misses": Figure("near misses", "near misses", "d"),
    "plan_ms_p99": Figure("plan p99 [ms]", "99th percentile of the planning time", ".0f"),
    "wait_ms_p99": Figure("wait p99 [ms]", "99th percentile of the time that was waited for potentials", ".0f"),
    "mean_abs_jerk": Figure("jerk [m/s³]", "mean absolute jerk", ".2f"),
}
PEOPLE = {  # of tables about people
    "people_hit_moving": Figure("people hit", "people hit by a moving robot", "d"),
    "people_hit_standing": Figure("walked into a standing robot", "people who walked into a standing robot", "d"),
}
TARGET_FIGURES = {
    **COLUMNS,
    **PEOPLE,
    "episodes": Figure("episodes", "episodes driven", ",d"),
    "ratio": Figure("ratio", "travel time", ".3f"),
    "ratio_high": Figure("upper end", "upper end of the 95 % interval of travel time", ".3f"),
    "real_time_factor": Figure("x real time", "simulated time / time it took, all processes together", ".1f"),
}
PICTURES = {  # by the name of the plot
    "travel_times": "Share of trips that took at most so many times their ideal time",
    "speed_map": "Mean speed of robots under way, by place",
    "trajectories": "Ways driven on the first seed",
    "incidents": "Where robots collided, came too near, and stood",
}

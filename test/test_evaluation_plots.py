"""What the pictures of an evaluation say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from campaign_worlds import episode
from evaluation_worlds import open_hall

from dyna_nav.evaluation.plots import draw_trajectories, draw_travel_times


def test_nobody_is_drawn_to_have_driven_where_they_were_carried():
    run = episode("dyna2", 1)
    run.pose[:, 0, 0] = np.linspace(2.0, 4.0, len(run.pose))
    run.pose[20:, 0, 0] += 10.0  # through whatever stands between
    (axes,) = draw_trajectories(open_hall(), {"dyna2": [run]}, "busy").axes
    (way,) = [line for line in axes.lines if line.get_label() == "r1"]
    x = way.get_xdata()
    (gap,) = np.flatnonzero(np.isnan(x))
    assert x[gap + 1] - x[gap - 1] > 9.0
    assert len(x) == len(run.pose) + 1


def test_the_median_counts_what_was_given_up_with_its_timeout():
    run = episode("dyna2", 1)
    late = [replace(trip, travel_s=8.0 * trip.ideal_s, finished=False) for trip in run.trips[1:]]
    run = replace(run, trips=[run.trips[0], *late])
    figure = draw_travel_times({"dyna2": [run]}, "busy")
    (label,) = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert label == "dyna2: median 8.00, 3 of 4 beyond"


def test_a_run_of_which_no_trip_counts_is_drawn():
    run = replace(episode("dyna2", 1), trips=[])
    figure = draw_travel_times({"dyna2": [run]}, "stalled")
    assert len(figure.axes) == 1

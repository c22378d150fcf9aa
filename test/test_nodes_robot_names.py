"""Names of robots: what ROS takes as a namespace, and the robot that has none."""

from __future__ import annotations

import pytest

from dyna_nav.nodes.robot_names import check_robot_names, in_namespace, robots_served


@pytest.mark.parametrize("name", ["amr-1", "1st", "", "r 1", "/r1", "r1/", "röbi"])
def test_a_name_that_ros_would_refuse_is_refused_in_one_sentence(name):
    with pytest.raises(ValueError, match="parameter robots"):
        check_robot_names(["r1", name])


def test_names_that_ros_takes_are_taken_once_each():
    check_robot_names(["r1", "hall_2/amr_1"])
    for names in ([], ["r1", "r1"]):
        with pytest.raises(ValueError, match="each robot once"):
            check_robot_names(names)


def test_without_names_a_node_serves_the_robot_of_its_own_namespace():
    assert robots_served([]) == ("",)
    assert robots_served(("r1", "r2")) == ("r1", "r2")
    with pytest.raises(ValueError, match="'1st', which cannot be a ROS namespace"):
        robots_served(["1st"])
    assert [in_namespace(name, "odom") for name in ("r1", "")] == ["r1/odom", "odom"]

"""Publishes the site, latched: ``map`` (nav_msgs/OccupancyGrid), ``stations`` (visualization_msgs/MarkerArray)."""

from __future__ import annotations

from dataclasses import dataclass

from nav_msgs.msg import OccupancyGrid
from rclpy.node import Node
from visualization_msgs.msg import MarkerArray

from dyna_nav.nodes.inbox import ClockOnDemand
from dyna_nav.nodes.markers import station_markers
from dyna_nav.nodes.messages import LATCHED, grid_message
from dyna_nav.nodes.parameters import declare_parameters
from dyna_nav.nodes.process import serve
from dyna_nav.parameters import parameter
from dyna_nav.site import resolve_site


@dataclass(frozen=True)
class MapPublisherConfig:
    """Parameters of the map publisher."""

    map: str = parameter("default", "site: path of a map_server yaml, default, or random:SEED")


class MapPublisher(ClockOnDemand, Node):
    """One node, two latched topics; raises ValueError when the site cannot be read."""

    def __init__(self) -> None:
        super().__init__("map_publisher")
        site = resolve_site(declare_parameters(self, MapPublisherConfig).map)
        stamp = self.get_clock().now().to_msg()
        self._map = self.create_publisher(OccupancyGrid, "map", LATCHED)
        self._map.publish(grid_message(site.map, stamp))
        self._stations = self.create_publisher(MarkerArray, "stations", LATCHED)
        self._stations.publish(station_markers(site.stations, stamp))


def main() -> None:
    """Entry point of the process."""
    serve(MapPublisher)


if __name__ == "__main__":
    main()

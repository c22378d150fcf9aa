"""A site: a ``map_server`` map, the clearance of every cell, and the stations the robots serve."""

from dyna_nav.site.map_server import save_map
from dyna_nav.site.occupancy import OccupancyMap, SiteError
from dyna_nav.site.site import Site, load_site, resolve_site
from dyna_nav.site.stations import Station

__all__ = ["OccupancyMap", "Site", "SiteError", "Station", "load_site", "resolve_site", "save_map"]

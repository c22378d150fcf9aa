"""Package description for pip and colcon (ament_python); dependencies are listed by use, one extra for each."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "dyna_nav"
ROOT = Path(__file__).resolve().parent

ROBOT = [  # all that runs on the robot, beside ROS itself
    "numpy>=1.24",
    "numba>=0.59",
    "scipy>=1.10",
    "onnxruntime>=1.17",
    "pyyaml>=6.0",
    "pillow>=10.0",
]
EXTRAS = {
    "ros": [  # ROS 2 Jazzy from wheels, for machines without a ROS installation
        "ros-jazzy-rclpy[fastrtps]>=7.1,<8",
        "ros-jazzy-diagnostic-msgs>=5.3,<6",
        "ros-jazzy-geometry-msgs>=5.3,<6",
        "ros-jazzy-lifecycle-msgs>=2.0,<3",
        "ros-jazzy-nav-msgs>=5.3,<6",
        "ros-jazzy-rosgraph-msgs>=2.0,<3",
        "ros-jazzy-sensor-msgs>=5.3,<6",
        "ros-jazzy-std-srvs>=5.3,<6",
        "ros-jazzy-visualization-msgs>=5.3,<6",
    ],
    "simulation": ["mujoco>=3.17", "rich>=13.0", "matplotlib>=3.7"],
    "evaluation": ["mujoco>=3.17", "rich>=13.0", "matplotlib>=3.7"],
    "optimum": ["mujoco>=3.17", "rich>=13.0", "matplotlib>=3.7", "casadi>=3.6"],  # how fast trips could be
    "training": ["torch==2.13.0", "onnx>=1.16", "mujoco>=3.17", "rich>=13.0", "matplotlib>=3.7"],
    "outsiders": ["pytorch-mppi>=0.9", "torch==2.13.0", "pyrvo>=0.4"],  # planners of other people, for the evaluation
    "gpu": ["onnxruntime-gpu>=1.17"],
    "test": ["pytest>=8.0", "hypothesis>=6.100", "psutil>=5.9", "casadi>=3.6"],
}
EXTRAS["dev"] = [*EXTRAS["test"], "ruff>=0.5", "colcon-common-extensions>=0.3", "colcon-ros>=0.5"]


def files_below(folder: str) -> list[tuple[str, list[str]]]:
    """Every file below a folder of the checkout as data_files entries, its place kept under share/dyna_nav."""
    by_directory: dict[str, list[str]] = {}
    for path in sorted((ROOT / folder).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            relative = path.relative_to(ROOT)
            by_directory.setdefault(f"share/{PACKAGE}/{relative.parent.as_posix()}", []).append(relative.as_posix())
    return sorted(by_directory.items())


setup(
    name=PACKAGE,
    version="0.1.0",
    description="Learned, safe navigation for fleets of warehouse robots on ROS 2",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    maintainer="dyna_nav maintainers",
    maintainer_email="maintainers@dyna-nav.org",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={f"{PACKAGE}.evaluation": ["scenarios/*.yaml", "campaign.yaml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        *files_below("launch"),
        *files_below("config"),
        *files_below("models"),
    ],
    python_requires=">=3.10",
    install_requires=ROBOT,
    extras_require=EXTRAS,
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "dyna-nav = dyna_nav.cli:main",
            "planner = dyna_nav.nodes.planner:main",
            "velocity_gate = dyna_nav.nodes.velocity_gate:main",
            "simulator = dyna_nav.nodes.simulator:main",
            "dispatcher = dyna_nav.nodes.dispatcher:main",
            "map_publisher = dyna_nav.nodes.map_publisher:main",
        ]
    },
)

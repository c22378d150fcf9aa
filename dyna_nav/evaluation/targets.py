"""Targets of a campaign, held against the figures of its runs."""

from __future__ import annotations

from dataclasses import dataclass

from dyna_nav.evaluation.campaign import Campaign, Target
from dyna_nav.evaluation.campaign_results import Result
from dyna_nav.evaluation.figures import TARGET_FIGURES
from dyna_nav.evaluation.pooling import pooled_figures, pooled_ratio

REACHED, MISSED, UNKNOWN = "reached", "**missed**", "not measured"


@dataclass(frozen=True)
class Verdict:
    """A target and what came of it, in words."""

    says: str
    over: str
    bound: str
    measured: str
    reached: str  # REACHED, MISSED or UNKNOWN; with how many of the runs are there when some are not


def judged(campaign: Campaign, target: Target, results: list[Result]) -> Verdict:
    """Compare a target's figure, over all trips of its runs that are there, with its bound (inclusive)."""
    controller, than = target.controller or campaign.reference, target.than or campaign.baseline
    figure, names = TARGET_FIGURES[target.figure], [run.name for run in campaign.matching(target.runs)]
    is_ratio = target.figure in ("ratio", "ratio_high")
    needed = {controller, than} if is_ratio else {controller}
    there = [result for result in results if result.run.name in names and needed <= set(result.labels)]
    value = _ratio(target.figure, there, controller, than) if is_ratio else None
    if there and not is_ratio:
        value = pooled_figures(there, controller)[target.figure]
    reached = UNKNOWN
    if value is not None:
        good = value <= target.at_most if target.at_most is not None else value >= target.at_least
        reached = REACHED if good else MISSED
        reached += f" ({len(there)} of {len(names)} runs)" if len(there) < len(names) else ""
    bound = f"at most {figure.shown(target.at_most)}" if target.at_least is None else ""
    return Verdict(
        says=f"{figure.says}, {controller} / {than}" if is_ratio else f"{figure.says}, {controller}",
        over=", ".join(f"`{glob.strip()}`" for glob in target.runs.split(",")),
        bound=bound or f"at least {figure.shown(target.at_least)}",
        measured=figure.shown(value),
        reached=reached,
    )


def _ratio(which: str, results: list[Result], a: str, b: str) -> float | None:
    pooled = pooled_ratio(results, a, b)
    if pooled is None or (which == "ratio_high" and pooled.clusters < 2):
        return None
    return pooled.interval.value if which == "ratio" else pooled.interval.high

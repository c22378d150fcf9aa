"""The page of results as Markdown: every figure on it is read or computed from the results of a campaign."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dyna_nav.evaluation.benchmark import STOOD
from dyna_nav.evaluation.campaign import Campaign, Section, Target
from dyna_nav.evaluation.campaign_results import Result, pictures, source
from dyna_nav.evaluation.figures import COLUMNS, PEOPLE, PICTURES
from dyna_nav.evaluation.incidents import IncidentConfig
from dyna_nav.evaluation.markdown import anchor, listed, table
from dyna_nav.evaluation.pooling import WITHIN, PooledRatio, pooled_figures, pooled_ratio
from dyna_nav.evaluation.statistics import FEWEST_SEEDS, LEVEL, highest_coverage, highest_rate
from dyna_nav.evaluation.targets import judged

HOW_TO_READ = """\
- **time / ideal**: sum of travel times over the sum of ideal times; ideal is the shortest way on the map at full speed,
  without bends, acceleration or anybody in the way. A trip that was given up counts with its timeout.
- **least / ideal**: the same for a robot that gains speed and brakes as hard as it can and has nothing to turn for:
  nobody drives faster than this, so it bounds what can be saved.
- **p99**: all but one trip in a hundred were at least as fast, relative to ideal. **within {within:g} x**: share of the
  trips that ended within {within:g} times ideal.
- **collisions**: contacts of a robot with anything; two robots that hit each other make one. **per traversal**: by the
  number of trips. **with still things**: of these, with the hall, a pallet, or a robot that had stood for {stood:g} s.
- **near misses**: something came nearer than {near:g} m to a moving robot's hull, or a moving robot to it; walls do
  not count within {docking:g} m of the robot's own places.
- **plan p99**: 99 of 100 planning cycles, for all robots together, took at most so long on this machine, which was
  busy with several episodes at once. In lockstep nobody's time is limited{budget}.
  **wait p99**: the same of the time before a cycle in which it waited for ways to new goals, which a robot finds beside
  its cycles. **jerk**: mean absolute jerk of the true motion.
- **{reference} / this**: travel time of {reference} over that of the row's controller, on the trips that both made:
  below 1 {reference} is faster. In brackets the {level:g} % bootstrap interval, an expanded percentile interval
  (Hesterberg, 2015), which allows for how few there are to draw from: whole seeds of sites, or, where there are fewer
  than {fewest} of them, the robots of each seed, because the trips of a run depend on each other. Robots of a seed meet
  each other too: an interval drawn from robots speaks of these runs, not of other seeds. A percentage behind the
  brackets: drawn from so few that the interval covers at most that. No brackets: a single robot on a single seed, from
  which nothing can be said about others.
- All controllers of a run drive the same trips from the same places with the same noise, pallets and people. What each
  of them is stands in {opponents} and {baseline}; scenarios, controllers and figures are defined in {writing}.
"""


def page(campaign: Campaign, results: list[Result], missing: dict[str, str], path: Path) -> str:
    """The whole page. missing: why each run that is not among the results is not; path: where the page will lie.

    The results lie beside it, in a folder of its name.
    """
    parts = [
        f"# {campaign.title}",
        campaign.about.strip(),
        "## What was measured, and on what",
        *_measured(campaign, results, missing, path),
        "## How to read it",
        HOW_TO_READ.format(
            reference=campaign.reference,
            within=WITHIN,
            stood=STOOD,
            near=IncidentConfig().near,
            docking=IncidentConfig().docking,
            level=100 * LEVEL,
            fewest=FEWEST_SEEDS,
            budget="; on a robot rollouts end when their budget does" if campaign.reference == "dyna2" else "",
            opponents=_page_beside(path, "opponents"),
            baseline=_page_beside(path, "baseline"),
            writing=_page_beside(path, "writing_a_controller"),
        ).strip(),
        "## At a glance",
        _glance(campaign, results),
    ]
    if campaign.targets:
        parts += ["### Targets", _targets(campaign, campaign.targets, results)]
    for section in campaign.sections:
        parts += _section(campaign, section, results, path.stem)
    if missing:
        parts += ["## Not on this page", "\n".join(f"- `{name}`: {reason}." for name, reason in missing.items())]
    return "\n\n".join(parts) + "\n"


def _page_beside(path: Path, name: str) -> str:
    """Another of the project's pages, as a link where it lies beside this one."""
    words = name.replace("_", " ")
    return f"[{words}]({name}.md)" if path.with_name(f"{name}.md").is_file() else f"docs/{name}.md"


def _command(campaign: Campaign, out: str) -> str:
    """What makes results of this campaign in a folder."""
    file = "" if campaign.shipped else f" --campaign {campaign.path}"
    return f"dyna-nav campaign{file}" + (f" --out {out}" if out else "")


def _measured(campaign: Campaign, results: list[Result], missing: dict[str, str], path: Path) -> list[str]:
    if not results:
        return ["Nothing yet: `dyna-nav campaign` makes the results."]
    machines = listed(
        f"{m['cpu']}, {m['cores']} cores, {m['system']}" for m in (result.summary["machine"] for result in results)
    )
    versions = listed(
        ", ".join(f"{name} {version}" for name, version in result.summary["versions"].items() if name != "machine")
        for result in results
    )
    codes = list(dict.fromkeys(result.made["code"] for result in results))
    dates = sorted(result.made["date"][:10] for result in results)
    minutes = sum(result.made["seconds"] for result in results) / 60
    took = f"{minutes / 60:.1f} hours" if minutes >= 60 else f"{minutes:.0f} minutes"
    episodes = sum(len(result.summary["seeds"]) * len(result.labels) for result in results)
    trips = sum(figures["trips"] for result in results for figures in result.summary["controllers"].values())
    lines = [
        f"- {len(results)} of {len(results) + len(missing)} runs: {episodes:,} episodes with {trips:,} trips, "
        f"in MuJoCo, without ROS, made in {took}, {dates[0]}{'' if dates[0] == dates[-1] else f' to {dates[-1]}'}.",
        f"- Machine: {machines}; episodes side by side: up to {max(r.made['processes'] for r in results)}.",
        f"- Versions: {versions}.",
        f"- World model: {listed(result.made['model'] for result in results)}; "
        f"source of what drives: {', '.join(codes)}.",
    ]
    if codes != [source()]:
        lines.append(f"- The source has changed since some of these runs: it is {source()} now.")
    command = _command(campaign, "" if campaign.shipped and path.stem == "results" else path.stem)
    again = (
        "Everything on this page; what is there already is not run again:\n\n"
        "```sh\nexport MAPS=maps                         # the folder of the maps that are no part of the project\n"
        f'{command} --maps "$MAPS"\n'
        f'{command} --maps "$MAPS" --list  # what is there and what is not\n'
        f"{command} --write-page-only      # this page from the files beside it\n```\n\n"
        "The command of each run stands below its table; with `--json e.json --plots plots` it leaves what the "
        "table and the pictures are made of."
    )
    return ["\n".join(lines), again]


def _glance(campaign: Campaign, results: list[Result]) -> str:
    """The reference beside the baseline: a row per section, or per run where a section's runs are no one thing.

    The last row counts. It has no times: over all sections they would say which scenario was driven most.
    """
    us, them = campaign.reference, campaign.baseline
    head = [
        "", "runs", f"trips of {us}", f"{us}: time / ideal", f"{them}: time / ideal", f"{us} / {them}",
        f"{us}: collisions", f"{them}: collisions", f"{us}: not finished", f"{them}: not finished",
    ]  # fmt: skip
    rows = []
    for section in campaign.sections:
        runs = [r for r in results if r.run.section == section.name and us in r.labels and them in r.labels]
        title = f"[{section.title}](#{anchor(section.title)})"
        if section.pooled and runs:
            rows.append([title, *_pair(runs, us, them)])
        elif runs:
            rows += [[f"{title}: `{run.run.name}`", *_pair([run], us, them)] for run in runs]
    both = [result for result in results if us in result.labels and them in result.labels]
    if not both:
        return f"No run with {us} and {them} is there yet."
    counted, times = _pair(both, us, them), slice(2, 5)
    counted[times] = [""] * 3
    rows.append(["**all of these**", *counted])
    ours = pooled_figures(both, us)
    words = "Collisions are per traversal, with their number."
    if ours["trips"]:
        bound = COLUMNS["collisions_per_traversal"].shown(highest_rate(ours["collisions"], ours["trips"]))
        words += (
            f" With {ours['collisions']} in {ours['trips']:,} traversals, the true rate of {us} is below {bound} "
            f"with {100 * LEVEL:g} % confidence, if collisions are independent."
        )
    return f"{table(head, rows)}\n\n{words}"


def _pair(runs: list[Result], us: str, them: str) -> list[str]:
    ours, theirs = pooled_figures(runs, us), pooled_figures(runs, them)
    ideal, rate = COLUMNS["travel_time_vs_ideal"], COLUMNS["collisions_per_traversal"]
    return [
        str(len(runs)),
        f"{ours['trips']:,}",
        *(ideal.shown(each["travel_time_vs_ideal"]) for each in (ours, theirs)),
        _ratio(pooled_ratio(runs, us, them)),
        *(f"{rate.shown(each['collisions_per_traversal'])} ({each['collisions']})" for each in (ours, theirs)),
        *(f"{each['unfinished']}" for each in (ours, theirs)),
    ]


def _targets(campaign: Campaign, targets: Iterable[Target], results: list[Result]) -> str:
    rows = []
    for target in targets:
        verdict = judged(campaign, target, results)
        rows.append([verdict.says, verdict.over, verdict.bound, verdict.measured, verdict.reached])
    return table(["target", "runs", "wanted", "measured", ""], rows)


def _section(campaign: Campaign, section: Section, results: list[Result], folder: str) -> list[str]:
    parts = [f"## {section.title}", section.about.strip()]
    mine = [result for result in results if result.run.section == section.name]
    if not mine:
        return [*parts, "No run of this section is there yet."]
    targets = [target for target in campaign.targets if target.section == section.name]
    if targets:
        parts.append(_targets(campaign, targets, results))
    people = any(result.summary["scenario"]["walkers"]["count"] for result in mine)
    rows = []
    for result in mine:
        for number, label in enumerate(result.labels):
            figures = pooled_figures([result], label)
            ratio = _ratio(pooled_ratio([result], campaign.reference, label)) if label != campaign.reference else ""
            rows.append(["" if number else f"`{result.run.name}`", *_row(label, figures, people, campaign), ratio])
    parts.append(table(["run", *_head(campaign, people)], rows))
    if section.pooled and len(mine) > 1:
        parts += [_together(campaign, mine), _pooled(campaign, mine, people)]
    parts += [_picture(campaign, result, path) for result in mine for path in pictures(result.run, Path(folder))]
    lines = [f"# {result.run.name}: {result.run.shows}\n{result.run.command()}" for result in mine]
    parts.append("```sh\n" + "\n".join(lines) + "\n```")
    return parts


def _together(campaign: Campaign, results: list[Result]) -> str:
    ratio = pooled_ratio(results, campaign.reference, campaign.baseline)
    drawn = f" (intervals from {ratio.clusters} {ratio.unit})" if ratio else ""
    return f"All {len(results)} runs together{drawn}:"


def _pooled(campaign: Campaign, results: list[Result], people: bool) -> str:
    """A row for each controller that drove in all of the runs."""
    labels = [label for label in results[0].labels if all(label in result.labels for result in results)]
    rows = []
    for label in labels:
        ratio = pooled_ratio(results, campaign.reference, label) if label != campaign.reference else None
        rows.append([*_row(label, pooled_figures(results, label), people, campaign), _ratio(ratio)])
    return table(_head(campaign, people), rows)


def _head(campaign: Campaign, people: bool) -> list[str]:
    headings = [figure.heading for figure in (*COLUMNS.values(), *(PEOPLE.values() if people else ()))]
    return ["controller", *headings, f"{campaign.reference} / this"]


def _row(label: str, figures: dict, people: bool, campaign: Campaign) -> list[str]:
    named = f"**{label}**" if label == campaign.reference else label
    return [named, *(figure.shown(figures[key]) for key, figure in {**COLUMNS, **(PEOPLE if people else {})}.items())]


def _picture(campaign: Campaign, result: Result, path: Path) -> str:
    caption, name = PICTURES[path.stem], result.run.name
    drawn = f'drawn by `{_command(campaign, "")} --maps "$MAPS" --out again --only {name}`'
    return f"![{caption}: {name}]({path.as_posix()})\n\n*{caption}: `{name}`; {drawn}*"


def _ratio(pooled: PooledRatio | None) -> str:
    if pooled is None:
        return ""
    found = pooled.interval
    if pooled.clusters < 2:
        return f"{found.value:.3f}"
    covers = highest_coverage(pooled.clusters)
    limit = f" ({100 * covers:.0f} %)" if covers < LEVEL else ""
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]{limit}"

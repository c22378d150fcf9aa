"""``dyna-nav campaign``: every evaluation behind the page of results that is not there yet, and the page."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from pathlib import Path

from dyna_nav.evaluation.command import count, with_packages
from dyna_nav.whole_file import make_folder, write_whole

FAILED = 1
PICTURES_LIMIT = 1.5e6  # bytes of all pictures on the page


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``dyna-nav campaign``."""
    parser.add_argument(
        "--out", default="docs/results", metavar="DIR", help="folder of the results; the page is DIR.md (docs/results)"
    )
    parser.add_argument("--campaign", default="", metavar="FILE", help="a campaign of your own (yaml)")
    parser.add_argument(
        "--maps",
        default=os.environ.get("MAPS", "maps"),
        metavar="DIR",
        help="what $MAPS in the campaign stands for ($MAPS, or maps)",
    )
    parser.add_argument("--only", default="*", metavar="GLOB", help="runs by name, as busy-*,empty (default: all)")
    parser.add_argument("--jobs", type=count, default=os.cpu_count() or 1, metavar="N", help="processes (all cores)")
    parser.add_argument("--fresh", action="store_true", help="run again also what another state of the source has made")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="say what would be run, and why")
    what.add_argument("--write-page-only", action="store_true", help="run nothing; write the page from what is there")


def run(arguments: argparse.Namespace) -> int:
    """Run the campaign; the exit status is 1 when a run failed. Raises ValueError or OSError, one sentence."""
    return with_packages(_campaign, arguments)


def _campaign(arguments: argparse.Namespace) -> int:
    from dyna_nav.evaluation import campaign as campaigns
    from dyna_nav.evaluation.campaign_results import no_map, source, why_not
    from dyna_nav.world_model.bundle import load_bundle

    campaign = campaigns.load_campaign(Path(arguments.campaign) if arguments.campaign else campaigns.SHIPPED)
    chosen = campaign.matching(arguments.only)
    if not chosen:
        raise ValueError(f"--only {arguments.only} names no run of {campaign.path}; --list shows them")
    folder, maps, model = Path(arguments.out), Path(arguments.maps), load_bundle().version
    if not folder.name:
        raise ValueError(f"--out {arguments.out} has no name that the page could be called after; name another folder")
    code = source() if arguments.fresh else ""
    if arguments.list:
        for run in chosen:
            reason = why_not(run, folder, maps, model, code)
            state = "there" if not reason else f"to run: {reason}"
            missing = no_map(run, maps) if reason else ""
            print(f"{run.name}: {f'to skip: {missing}' if missing else state}\n  {run.command()}")
        return 0
    failed = {} if arguments.write_page_only else _run_all(chosen, folder, maps, model, code, arguments.jobs)
    page = _write_page(campaign, folder, maps, model, failed)
    print(f"{page}: written")
    return FAILED if failed else 0


def _run_all(chosen: list, folder: Path, maps: Path, model: str, code: str, jobs: int) -> dict[str, str]:
    """Make the runs that are not there; returns why each that failed did. What is finished stays when interrupted."""
    from dyna_nav.evaluation.campaign_results import make, no_map, why_not

    make_folder(folder)
    failed = {}
    reasons = [why_not(run, folder, maps, model, code) for run in chosen]  # a damaged result is told before the hours
    for number, (run, reason) in enumerate(zip(chosen, reasons, strict=True), start=1):
        here, missing = f"campaign: {number}/{len(chosen)} {run.name}", no_map(run, maps)
        if not reason:
            _say(f"{here} is there")
            continue
        if missing:
            _say(f"{here} skipped: {missing}")
            continue
        _say(f"{here} ({reason})")
        try:
            make(run, folder, maps, model, jobs)
        except Exception as error:  # whatever it is, the others are worth their hours
            failed[run.name] = f"failed: {error}"
            if not isinstance(error, (ValueError, OSError)):
                traceback.print_exception(error)
            _say(f"{here} {failed[run.name]}")
        except KeyboardInterrupt:
            _say(f"campaign: interrupted in {run.name}; finished runs are kept, the same command goes on from here")
            raise
    return failed


def _write_page(campaign, folder: Path, maps: Path, model: str, failed: dict[str, str]) -> Path:
    from dyna_nav.evaluation.campaign_results import no_map, pictures, read, why_not
    from dyna_nav.evaluation.results_page import page

    missing = {run.name: why_not(run, folder, maps, model) for run in campaign.runs}
    results = [read(run, folder) for run in campaign.runs if not missing[run.name]]
    size = sum(file.stat().st_size for result in results for file in pictures(result.run, folder))
    if size > PICTURES_LIMIT:
        _say(f"campaign: the pictures take {size / 1e6:.1f} MB, more than {PICTURES_LIMIT / 1e6:.1f}; choose fewer")
    path = folder.with_name(folder.name + ".md")
    make_folder(path.parent)
    for run in campaign.runs:
        if missing[run.name] and no_map(run, maps):
            missing[run.name] += f"; {run.map} is not there"
    because = {name: failed.get(name, reason) for name, reason in missing.items() if reason}
    write_whole(path, page(campaign, results, because, path))
    return path


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

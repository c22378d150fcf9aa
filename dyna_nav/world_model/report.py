"""The documentation page of a model bundle: every number is read from the manifest, none is typed by hand."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from dyna_nav.mdp import STEP
from dyna_nav.ood.alarm import MARGIN, USUAL_LIVES
from dyna_nav.world_model.bundle import Bundle
from dyna_nav.world_model.encoding import FEATURES, MOTION_OUTPUTS, OUTPUT_NAMES, STATE_OUTPUTS
from dyna_nav.world_model.residual import TIMING

RECALL = 0.9  # share of all novel episodes that is to be seen
UNITS = ("m", "m", "rad", "m/s", "rad/s", "1", "1")


def write_report(bundle: Bundle, folder: Path) -> None:
    """Write model.md, model_calibration.png and model_ood.png into folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _plot_calibration(bundle, folder / "model_calibration.png")
    _plot_ood(bundle, folder / "model_ood.png")
    (folder / "model.md").write_text(_page(bundle))


TEMPLATE = """\
# The model that ships with dyna_nav

Bundle `{version}`, made on {created} by

```
{command}
```

{note}This page is written from the bundle's manifest.

## What it learned from

{ensemble[training_transitions]} transitions of 0.1 s on {ensemble[training_sites]} sites train the ensemble;
{ensemble[held_out_transitions]} on {ensemble[held_out_sites]} other sites stop it early, calibrate it and give
the figures here. Half of the sites are random warehouses, the other half sketches of other places: rooms and
corridors, cluttered halls, oblique racks, many with the ragged edges, holes and unknown regions that SLAM leaves, some
in a hall that is not exactly as its map says. 2 to 6 robots, payloads up to {heaviest:g} kg, pallets that are not in
the map, localisation noise, lasers that do not look all around. Odometry at 20 or 50 Hz and scans at 10 Hz are carried
forward to the beginning of each cycle, wherever that lies between them, and commands take effect up to
{latest_ms:.0f} ms later, as between ROS nodes; {punctual:.0%} of the episodes are perfectly punctual.

The OOD detector's threshold was set on {ood[calibration_robot_hours]} robot-hours on further sites, {margin:g} times as
high as the score that 1 of {lives:.0f} recorded drives of 50 s would have passed. Its false alarms
and the novel states below are from yet other sites and seeds.

Time of the stages, as far as this command did them and did not find them done: {seconds}.

## One-step prediction on held-out sites

{ensemble[members]} members of 2 x {ensemble[hidden]} units, {features} inputs. In normalised units 1 is the standard
deviation of the target. The mixture is the mean of the members. The error has a floor: localisation noise, late
commands and unknown payloads cannot be predicted; the sideways motion `dy` is nearly nothing else.

| output | target's std | RMSE | MSE, normalised | within 68 % | within 95 % | calibration error |
|---|---|---|---|---|---|---|
{outputs}

- MSE of the change of state, mixture, six dimensions: **{calibration[mixture_state_mse]:.4f}** (normalised).
- MSE of the next *state*, each dimension in units of its spread over a site, as the published figure of 0.02 is
  stated: **{calibration[next_state_mse]:.2g}**.
- NLL of a change of state, sum of six dimensions, mean of the members: **{state_nll:.3f}**; with the reward, whose
  collisions no member expects with certainty: {nll:.3f} (normalised, without the constant).
- Motion without the battery: {calibration[mixture_motion_mse]:.4f}; circuit breaker and drift compare with this.
- {calibration[collision][steps]} steps of the report half ended in a collision; the predicted reward ranks them with an
  area under the ROC curve of {calibration[collision][auc]}.

## Uncertainty

- *Aleatoric*: the members' mean variance, multiplied per output by the factor that puts 68.3 % of the errors of one
  half of the held-out rows inside one standard deviation; table and plot show the other half.
- *Epistemic*: standard deviation of the members' means in units of the targets' standard deviation, mean over the six
  state dimensions, times the factor that puts the 99 % quantile of held-out familiar driving at 0.3. The planner's 0.3
  is therefore more disagreement than in 99 % of familiar steps. On the report half {over_3:.2%} exceed 0.3 and
  {over_5:.3%} exceed 0.5; the rank correlation with the squared error is
  {calibration[epistemic_error_rank_correlation]}.

![calibration](model_calibration.png)

## The OOD detector

An autoencoder over motion, map clearance, the world model's residuals (last one, drift and scatter over a second, as
far as two steps in a row agree: one command that came late is not novel), how hard the robot pulls while it gathers
speed (over 15 s), and the laser against the map. What counts is disagreement: of
the laser with the map, of what happened with what was predicted. Clearances and ranges are context and count only far
outside of what training saw, and what stands in front of a mapped wall (people, pallets, other robots) hardly at all,
because a site that nobody has seen is no reason to stop. The score is the mean squared reconstruction error of the
worst group of features, in units of the greatest that lasted in familiar driving. Residuals allow for
{timing_ms:.0f} ms by which the time of a measurement may be off in every step. A state is novel when
{ood[persistence]} of the last {ood[window]} cycles score over {ood[threshold]:.4g}, and familiar again after
{ood[resume_s]:g} s without such a cycle. Collisions and the second after them do not count as familiar.

False alarms on familiar driving: **{ood[false_alarms]} in {ood[robot_hours]} robot-hours**
({ood[false_alarms_per_robot_hour]} per robot and hour; with 95 % confidence under {ood[false_alarms_upper_95]}).
Half of that driving makes for walls and changes its mind all the time.

| family of novel states | episodes | seen within | recall | median delay |
|---|---|---|---|---|
{families}
{weak}
The time counts from when a fault can be seen at all: a slippery floor from the first slip over 0.15 m/s, a moved rack
from 5 m in line of sight, a lifted robot from the first turning wheel, a shove from when the robot yields to it (slips
over 0.15 m/s, or moves sideways over 0.3 m/s; most tyres withstand a weak one), a heavy load from when the robot
drives. A load is felt only while the robot gathers speed, so it takes a few starts.

![OOD scores](model_ood.png)
"""


def _page(bundle: Bundle) -> str:
    training = bundle.manifest["training"]
    ensemble, ood = training["ensemble"], training["ood"]
    calibration = ensemble["calibration"]
    return TEMPLATE.format(
        version=bundle.version,
        created=bundle.manifest["created"],
        command=training["command"],
        note=training["note"] + "\n\n" if training.get("note") else "",
        ensemble=ensemble,
        ood=ood,
        calibration=calibration,
        timing_ms=1e3 * TIMING * STEP,
        heaviest=training["heaviest_payload_kg"],
        latest_ms=1e3 * training["latest_command_s"],
        punctual=training["punctual_share"],
        seconds=", ".join(f"{name} {value:.0f} s" for name, value in training["seconds"].items()),
        features=FEATURES,
        outputs="\n".join(_output_row(ensemble, i) for i in range(len(OUTPUT_NAMES))),
        state_nll=STATE_OUTPUTS * min(record["state_nll"] for record in ensemble["epochs"]),
        nll=float(np.mean(ensemble["nll_per_member"])),
        over_3=calibration["epistemic_over_0.3"],
        over_5=calibration["epistemic_over_0.5"],
        margin=MARGIN,
        lives=1.0 / (1.0 - USUAL_LIVES),
        weak=_weak_families(ood["families"]),
        families="\n".join(_family_row(name, family) for name, family in ood["families"].items()),
    )


def _weak_families(families: dict) -> str:
    """A sentence about the families of which less is seen than the target for all of them together."""
    weak = [name for name, family in families.items() if name != "all" and family["recall"] < RECALL]
    return f"\nLess than the {RECALL:.0%} asked of all together is seen of: {', '.join(weak)}.\n" if weak else ""


def _output_row(ensemble: dict, i: int) -> str:
    name, calibration = OUTPUT_NAMES[i], ensemble["calibration"]
    std, mse = ensemble["target_std"][name], calibration["mixture_mse"][name]
    return (
        f"| {name} [{UNITS[i]}] | {std:.3g} | {std * mse**0.5:.3g} | {mse:.4f} "
        f"| {calibration['coverage_68'][name]:.1%} | {calibration['coverage_95'][name]:.1%} "
        f"| {calibration['expected_calibration_error'][name]:.3f} |"
    )


def _family_row(name: str, family: dict) -> str:
    if name == "all":
        return f"| **all** | {family['episodes']} | | **{family['recall']:.1%}** | |"
    delay = "-" if family["median_delay_s"] is None else f"{family['median_delay_s']:.1f} s"
    return f"| {name} | {family['episodes']} | {family['within_s']:g} s | {family['recall']:.0%} | {delay} |"


def _plot_calibration(bundle: Bundle, path: Path) -> None:
    figures = bundle.manifest["training"]["ensemble"]["calibration"]
    figure, axes = plt.subplots(figsize=(4.6, 4.2), dpi=110)
    axes.plot([0, 1], [0, 1], color="0.7", lw=1)
    for name in OUTPUT_NAMES[:MOTION_OUTPUTS]:
        axes.plot(figures["levels"], figures["observed_coverage"][name], marker=".", ms=4, lw=1.2, label=name)
    axes.set(
        xlabel="predicted share inside the interval",
        ylabel="observed share, held-out sites",
        xlim=(0, 1),
        ylim=(0, 1),
        title="Calibration of the predicted variance",
    )
    axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def _plot_ood(bundle: Bundle, path: Path) -> None:
    ood = bundle.manifest["training"]["ood"]
    names = [name for name in ood["families"] if name != "all"]
    figure, axes = plt.subplots(figsize=(7.2, 3.6), dpi=110)
    for row, name in enumerate(reversed(names)):
        scores = np.array(ood["families"][name]["peak_scores"])
        axes.plot(np.maximum(scores, 1e-3), np.full(len(scores), row), "|", ms=12, color="C3")
    quantiles = {float(level): value for level, value in ood["familiar_score_quantiles"].items()}
    row = len(names)
    axes.plot([quantiles[0.5], quantiles[0.9999]], [row, row], color="C0", lw=6, solid_capstyle="butt", alpha=0.5)
    axes.plot([quantiles[0.5], quantiles[0.99], quantiles[0.9999]], [row] * 3, "|", ms=12, color="C0")
    axes.axvline(ood["threshold"], color="0.3", lw=1, ls="--")
    axes.annotate("threshold", (ood["threshold"], row + 0.75), fontsize=8, ha="center", va="center")
    axes.set_yticks(range(row + 1), [*reversed(names), "familiar (50, 99, 99.99 %)"])
    axes.set(xscale="log", xlabel="score (novel: highest within the time allowed)", ylim=(-0.6, row + 1.1))
    axes.set_title("OOD score, familiar driving and novel states", fontsize=10)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)

"""Recorded episodes as the detector would have seen them, for its training, calibration and evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

from dyna_nav.mdp import STEP
from dyna_nav.ood.alarm import MARGIN, USUAL_LIVES, verdicts
from dyna_nav.ood.features import GROUPS, OOD_FEATURES, PULL_WINDOW, assemble, group_errors, missing_pull
from dyna_nav.ood.runtime import WINDOW, OODConfig
from dyna_nav.ood.vae import VAE
from dyna_nav.world_model.bundle import OODCalibration
from dyna_nav.world_model.collection import Episode
from dyna_nav.world_model.encoding import FEATURES, OUTPUTS, STATE_OUTPUTS
from dyna_nav.world_model.ensemble import Ensemble
from dyna_nav.world_model.residual import confirmed, residual_variance
from dyna_nav.world_model.training import Normalisation, predict_all
from dyna_nav.world_model.training_sites import training_hall

SETTLING = WINDOW + 10  # steps around something unlearnable whose features still carry it
PERSISTENCE, ALARM_WINDOW = 3, 5  # suspicious cycles, among so many, that make a state novel
LEAST_UNIT = 1.0  # of a group's error: what features of it are off by their resolution is not blown up


@dataclass(frozen=True)
class Series:
    """Features [robots, steps, OOD_FEATURES] and which steps are familiar driving [robots, steps]."""

    features: np.ndarray
    familiar: np.ndarray


def residuals(episode: Episode, ensemble: Ensemble, norm: Normalisation, variance_scale: np.ndarray) -> np.ndarray:
    """What ResidualTracker would have said: [robots, steps, 6], standard deviations."""
    robots, steps = episode.learnable.shape
    features = torch.from_numpy(episode.features.reshape(-1, FEATURES))
    means, log_variance = (part.double().numpy() for part in predict_all(ensemble, features))
    scale, offset = norm.target_std.double().numpy(), norm.target_mean.double().numpy()
    mean = means.mean(axis=0) * scale + offset
    mixture = (np.exp(log_variance) * variance_scale).mean(axis=0) + means.var(axis=0)
    difference = episode.targets.reshape(-1, OUTPUTS) - mean
    residual = difference / np.sqrt(residual_variance(mean, mixture * scale**2))
    return residual[:, :STATE_OUTPUTS].reshape(robots, steps, STATE_OUTPUTS)


def series_of(episode: Episode, site_name: str, residual: np.ndarray) -> Series:
    """The detector's features at every step of an episode, with the history it would have had."""
    site = training_hall(site_name).site
    robots, steps = episode.learnable.shape
    grid = (site.clearance, *site.map.origin, site.map.resolution)
    history = np.full((robots, WINDOW, STATE_OUTPUTS), np.nan)
    features = np.zeros((steps, robots, OOD_FEATURES), np.float32)
    pose, twist, summary = (np.swapaxes(x, 0, 1).copy() for x in (episode.pose, episode.twist, episode.summary))
    residual = confirmed(residual, np.concatenate([np.full_like(residual[:, :1], np.nan), residual[:, :-1]], axis=1))
    recent, pulls, pull = np.full((robots, 3, 2), np.nan), np.full((robots, PULL_WINDOW), np.nan), np.zeros(robots)
    for k in range(steps):
        recent[~episode.learnable[:, k]] = np.nan  # how hard a robot pulls against a wall is not how hard it pulls
        pulls[~episode.learnable[:, k]] = np.nan
        history[:, k % WINDOW] = residual[:, k]
        missing_pull(twist[k], recent, pulls, k % PULL_WINDOW, pull)
        assemble(pose[k], twist[k], history, k % WINDOW, pull, summary[k], *grid, features[k])
    return Series(np.swapaxes(features, 0, 1), _away_from(~episode.learnable, SETTLING))


def _away_from(bad: np.ndarray, steps: int) -> np.ndarray:
    """True where no step of bad [robots, steps] lies among the last ``steps`` or the next one."""
    near = bad.copy()
    for shift in range(1, steps + 1):
        near[:, shift:] |= bad[:, :-shift]
    near[:, :-1] |= bad[:, 1:]
    return ~near


def group_scores_of(vae: VAE, features: np.ndarray) -> np.ndarray:
    """Mean squared errors of the groups [..., groups] of features [..., OOD_FEATURES]."""
    rows = torch.from_numpy(np.ascontiguousarray(features.reshape(-1, OOD_FEATURES)))
    parts = [group_errors(vae.errors(part).numpy()) for part in rows.split(65536)]
    return np.concatenate(parts).reshape(*features.shape[:-1], len(GROUPS))


def scores_of(vae: VAE, features: np.ndarray) -> np.ndarray:
    """Scores [...] of features [..., OOD_FEATURES]: what OODDetector computes from the exported network."""
    return group_scores_of(vae, features).max(axis=-1)


def lasting(scores: np.ndarray, familiar: np.ndarray) -> np.ndarray:
    """The greatest level that scores [robots, steps, ...] held long enough for an alarm, per robot [robots, ...]."""
    calm = familiar.reshape(*familiar.shape, *(1,) * (scores.ndim - 2))
    recent = sliding_window_view(np.where(calm, scores, 0.0), ALARM_WINDOW, axis=1)
    return np.sort(recent, axis=-1)[..., -PERSISTENCE].max(axis=1)


def group_units(vae: VAE, series: list[Series]) -> np.ndarray:
    """For each group [groups] the error that lasted long enough for an alarm in the life of only one robot in 100.

    The very greatest is that of a robot that something happened to (it rode up on a pallet), and says nothing.
    """
    levels = [lasting(group_scores_of(vae, one.features), one.familiar) for one in series]
    return np.maximum(np.quantile(np.concatenate(levels), USUAL_LIVES, axis=0), LEAST_UNIT)


def false_alarms(series_scores: list[np.ndarray], familiar: list[np.ndarray], calibration: OODCalibration) -> tuple:
    """(alarms, robot-hours) on familiar driving: scores and familiar are lists of [robots, steps].

    Steps that are not familiar count neither as time nor as alarms.
    """
    alarms, cycles = 0, 0
    for scores, calm in zip(series_scores, familiar, strict=True):
        novel = verdicts(np.where(calm, scores, 0.0), calibration, OODConfig().resume, STEP)
        alarms += int((novel[:, 1:] & ~novel[:, :-1]).sum() + novel[:, 0].sum())
        cycles += int(calm.sum())
    return alarms, cycles * STEP / 3600


def calibrate_threshold(series_scores: list[np.ndarray], familiar: list[np.ndarray]) -> OODCalibration:
    """The threshold that only one recorded life in 100 would have passed, and a margin."""
    levels = np.concatenate([lasting(one, calm) for one, calm in zip(series_scores, familiar, strict=True)])
    return OODCalibration(MARGIN * float(np.quantile(levels, USUAL_LIVES)), PERSISTENCE, ALARM_WINDOW)

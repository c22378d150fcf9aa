"""Train the ensemble: the algorithm in the order in which it runs.

    for each member, draw its own bootstrap sample of the transitions
    repeat
        draw a mini-batch per member from its own sample, half of it in proportion to error^0.6
        (prioritised replay, Schaul et al. 2016, with its importance weights)
        one Adam step on the Gaussian NLL of state change and reward together, gradients clipped per member
        remember the new errors as priorities
        each epoch: error and NLL on held-out sites; keep the weights of each member with the best NLL of the state
    until no member improved for `patience` epochs or the epochs are used up

Then calibrate on held-out sites: a factor on the predicted variance of each output, and the scale of epistemic
uncertainty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dyna_nav.world_model.encoding import MOTION_OUTPUTS, OUTPUT_NAMES, REWARD, STATE_OUTPUTS
from dyna_nav.world_model.ensemble import MEMBERS, Ensemble, gaussian_nll


@dataclass(frozen=True)
class TrainingConfig:
    """Numbers of the training run."""

    epochs: int = 20
    batch: int = 512  # rows per member and step
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    clip: float = 1.0  # greatest norm of one member's gradient
    patience: int = 6  # epochs without improvement before the training ends
    priority_exponent: float = 0.6
    priority_share: float = 0.5  # share of each batch drawn by error, the rest uniformly
    seed: int = 0


@dataclass(frozen=True)
class Transitions:
    """Rows of experience: features [n, FEATURES] in SI units, targets [n, OUTPUTS] in SI units."""

    features: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Normalisation:
    """What brings features and targets to zero mean and unit spread."""

    feature_mean: Tensor
    feature_std: Tensor
    target_mean: Tensor
    target_std: Tensor

    @staticmethod
    def of(data: Transitions) -> Normalisation:
        """Measured on the training transitions; a column that never varies gets a spread of 1."""
        feature_std, target_std = data.features.std(dim=0), data.targets.double().std(dim=0).float()
        return Normalisation(
            data.features.mean(dim=0),
            torch.where(feature_std > 1e-6, feature_std, 1.0),
            data.targets.double().mean(dim=0).float(),
            torch.where(target_std > 1e-12, target_std, 1.0),
        )

    def targets(self, data: Transitions) -> Tensor:
        return (data.targets - self.target_mean) / self.target_std


@dataclass(frozen=True)
class HeldOut:
    """One-step figures on sites that were not trained on; normalised units."""

    mse: np.ndarray  # [members, outputs] mean squared error
    nll: np.ndarray  # [members, outputs]

    @property
    def state_mse(self) -> np.ndarray:
        """Mean squared error of the state [members]."""
        return self.mse[:, :STATE_OUTPUTS].mean(axis=1)

    @property
    def state_nll(self) -> np.ndarray:
        """Negative log-likelihood of the state [members]: a member that grows too sure is worse, however near it is."""
        return self.nll[:, :STATE_OUTPUTS].mean(axis=1)


def train_ensemble(
    train: Transitions,
    held_out: Transitions,
    config: TrainingConfig,
    progress: Callable[[int, int, str], None] = lambda epoch, epochs, text: None,
) -> tuple[Ensemble, Normalisation, list[dict]]:
    """Train on some sites, stop early by others; returns the best ensemble, its scaling and one record per epoch."""
    generator = torch.Generator().manual_seed(config.seed)
    torch.manual_seed(config.seed)
    norm = Normalisation.of(train)
    targets, held_targets = norm.targets(train), norm.targets(held_out)
    ensemble = Ensemble(norm.feature_mean, norm.feature_std)
    optimiser = torch.optim.AdamW(ensemble.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    rows = len(train.features)
    steps = max(1, rows // config.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=steps * config.epochs + 1, pct_start=0.05
    )
    bootstrap = torch.randint(rows, (MEMBERS, rows), generator=generator)  # each member's own sample
    priority = torch.ones(MEMBERS, rows)  # of each entry of the bootstrap sample
    best_score = np.full(MEMBERS, np.inf)
    best_state = {key: value.clone() for key, value in ensemble.state_dict().items()}
    records: list[dict] = []
    stale = 0
    for epoch in range(config.epochs):
        ensemble.train()
        drawn, weights = _draw_epoch(priority, steps, config, generator)
        for step in range(steps):
            entry = drawn[:, step]  # [members, batch] places in the bootstrap sample
            row = torch.gather(bootstrap, 1, entry)
            mean, log_variance = ensemble(train.features[row])
            target = targets[row]
            loss = (gaussian_nll(mean, log_variance, target).sum(dim=-1) * weights[:, step]).mean(dim=1).sum()
            optimiser.zero_grad(set_to_none=True)
            (loss + ensemble.bound_penalty()).backward()
            _clip_each_member(ensemble, config.clip)
            optimiser.step()
            schedule.step()
            priority.scatter_(1, entry, (mean.detach() - target).abs().clamp_(max=10.0).mean(dim=-1))
        score = evaluate(ensemble, held_out.features, held_targets)
        better = score.state_nll < best_score - 1e-4
        best_score = np.where(better, score.state_nll, best_score)
        _keep(best_state, ensemble, better)
        stale = 0 if better.any() else stale + 1
        mse, nll = float(score.state_mse.mean()), float(score.state_nll.mean())
        records.append({"epoch": epoch, "state_mse": round(mse, 5), "state_nll": round(nll, 4)})
        progress(epoch + 1, config.epochs, f"held-out MSE {mse:.4f} NLL {nll:.3f}")
        if stale >= config.patience:
            break
    ensemble.load_state_dict(best_state)
    return ensemble.eval(), norm, records


def _draw_epoch(priority: Tensor, steps: int, config: TrainingConfig, generator: torch.Generator):
    """Places in the bootstrap sample [members, steps, batch] for one epoch, and their importance weights.

    The batch is a mixture of uniform and prioritised draws; weighting by 1 / (n p) keeps the likelihood unbiased, so
    that the variance a member learns is still that of the transitions and not that of the hard ones.
    """
    members, rows = priority.shape
    count = steps * config.batch
    chance = (priority + 1e-3).pow(config.priority_exponent)
    chance /= chance.sum(dim=1, keepdim=True)
    mixed = config.priority_share * chance + (1 - config.priority_share) / rows
    # multinomial with replacement is slow for many rows; inverting the cumulative distribution is exact and fast
    cumulative = mixed.double().cumsum(dim=1)
    uniform = torch.rand(members, count, generator=generator, dtype=torch.float64) * cumulative[:, -1:]
    drawn = torch.searchsorted(cumulative, uniform).clamp_(max=rows - 1)
    weights = 1 / (rows * torch.gather(mixed, 1, drawn))
    shape = (members, steps, config.batch)
    return drawn.view(shape), weights.view(shape)


def _clip_each_member(ensemble: Ensemble, limit: float) -> None:
    """Clip the gradient of every member by its own norm: one member's bad batch must not slow the others."""
    layers = [tensor for tensor in ensemble.parameters() if tensor.dim() == 3]
    norm = torch.stack([tensor.grad.flatten(1).square().sum(dim=1) for tensor in layers]).sum(dim=0).sqrt()
    factor = (limit / (norm + 1e-6)).clamp_(max=1.0)
    for tensor in layers:
        tensor.grad *= factor[:, None, None]


def _keep(best: dict, ensemble: Ensemble, better: np.ndarray) -> None:
    """Copy the weights of the members that improved; the shared bounds follow the newest improvement."""
    chosen = torch.from_numpy(better)
    for key, value in ensemble.state_dict().items():
        if value.dim() == 3:
            best[key][chosen] = value[chosen]
        elif better.any():
            best[key].copy_(value)


@torch.no_grad()
def predict_all(ensemble: Ensemble, features: Tensor, chunk: int = 8192) -> tuple[Tensor, Tensor]:
    """All members on the same rows [n, FEATURES] -> mean, log-variance [members, n, OUTPUTS], normalised units."""
    ensemble.eval()
    parts = [ensemble(part.expand(ensemble.members, *part.shape)) for part in features.split(chunk)]
    return torch.cat([part[0] for part in parts], dim=1), torch.cat([part[1] for part in parts], dim=1)


def evaluate(ensemble: Ensemble, features: Tensor, targets: Tensor) -> HeldOut:
    """One-step error and NLL of each member; targets in normalised units."""
    mean, log_variance = predict_all(ensemble, features)
    nll = gaussian_nll(mean, log_variance, targets)
    return HeldOut((mean - targets).square().mean(dim=1).numpy(), nll.mean(dim=1).numpy())


FAMILIAR_QUANTILE, FAMILIAR_EPISTEMIC = 0.99, 0.3  # epistemic is scaled so that this quantile has this value


@dataclass(frozen=True)
class Calibrated:
    """What calibration found on the held-out sites."""

    variance_scale: np.ndarray  # [outputs]
    epistemic_scale: float
    figures: dict  # for the manifest


def calibrate(ensemble: Ensemble, features: Tensor, targets: Tensor, target_std: Tensor) -> Calibrated:
    """Fit the scales on one half of the held-out rows and report on the other half; targets normalised.

    The variance factor of an output is the one that puts 68.3 % of the errors inside one standard deviation of the
    mixture: a quantile, because the few collisions and slips would otherwise widen every interval.
    """
    mean, log_variance = predict_all(ensemble, features)
    centre = mean.mean(dim=0)
    error = (targets - centre).numpy()
    aleatoric = torch.exp(log_variance).mean(dim=0).numpy()
    spread = mean.var(dim=0, unbiased=False).numpy()
    fit = np.arange(len(error)) % 2 == 0
    needed = (np.square(error) - spread) / aleatoric  # the factor that would just cover each error
    scale = np.maximum(np.quantile(needed[fit], 0.683, axis=0), 1e-4)
    disagreement = np.sqrt(spread[:, :STATE_OUTPUTS]).mean(axis=1)
    epistemic_scale = FAMILIAR_EPISTEMIC / max(float(np.quantile(disagreement[fit], FAMILIAR_QUANTILE)), 1e-9)
    check = ~fit
    deviation = np.abs(error[check]) / np.sqrt(aleatoric[check] * scale + spread[check])
    levels = np.linspace(0.05, 0.95, 19)
    limits = np.sqrt(2) * torch.erfinv(torch.from_numpy(levels)).numpy()
    observed = (deviation[:, :, None] <= limits).mean(axis=0)  # [outputs, levels]
    squared = np.square(error[check][:, :STATE_OUTPUTS]).mean(axis=1)
    figures = {
        "levels": [round(float(level), 2) for level in levels],
        "observed_coverage": {name: np.round(observed[i], 4).tolist() for i, name in enumerate(OUTPUT_NAMES)},
        "coverage_68": {name: round(float((deviation[:, i] <= 1).mean()), 4) for i, name in enumerate(OUTPUT_NAMES)},
        "coverage_95": {name: round(float((deviation[:, i] <= 1.96).mean()), 4) for i, name in enumerate(OUTPUT_NAMES)},
        "expected_calibration_error": {
            name: round(float(np.abs(observed[i] - levels).mean()), 4) for i, name in enumerate(OUTPUT_NAMES)
        },
        "epistemic_error_rank_correlation": round(_rank_correlation(disagreement[check], squared), 4),
        "epistemic_over_0.3": round(float((disagreement[check] * epistemic_scale > 0.3).mean()), 5),
        "epistemic_over_0.5": round(float((disagreement[check] * epistemic_scale > 0.5).mean()), 5),
        "mixture_state_mse": round(float(squared.mean()), 6),
        "next_state_mse": round(_next_state_mse(features[check], error[check], target_std), 6),
        "mixture_motion_mse": round(float(np.square(error[check][:, :MOTION_OUTPUTS]).mean()), 6),
        "mixture_mse": {
            name: round(float(np.square(error[check][:, i]).mean()), 6) for i, name in enumerate(OUTPUT_NAMES)
        },
        "collision": _collision_figures(centre[check][:, REWARD], targets[check][:, REWARD]),
    }
    return Calibrated(scale, epistemic_scale, figures)


SITE_SPREAD = (10.0, 10.0, np.pi / np.sqrt(3))  # of x, y [m] and yaw [rad] over a warehouse, for the figure below


def _next_state_mse(features: Tensor, error: np.ndarray, target_std: Tensor) -> float:
    """MSE of the predicted next state (x, y, yaw, speed, battery), each in units of its own spread over a site.

    This is the figure that publications state for models whose target is the next state; it is small because the next
    state is nearly the last one.
    """
    spread = (*SITE_SPREAD, float(features[:, 0].std()), float(features[:, 2].std()))
    columns = [0, 1, 2, 3, 5]
    return float(np.square(error[:, columns] * target_std[columns].numpy() / np.array(spread)).mean())


def _collision_figures(predicted: Tensor, target: Tensor) -> dict:
    """How well the predicted reward ranks the steps that ended in a collision: area under the ROC curve."""
    low = float(target.min())
    crashed = (target < 0.5 * low).numpy() if low < -2 else np.zeros(len(target), bool)
    if not 0 < crashed.sum() < len(crashed):
        return {"steps": int(crashed.sum()), "auc": None}
    ranks = np.argsort(np.argsort(-predicted.numpy())) + 1
    hits, misses = int(crashed.sum()), int((~crashed).sum())
    auc = (ranks[crashed].sum() - hits * (hits + 1) / 2) / (hits * misses)
    return {"steps": hits, "auc": round(float(auc), 4)}


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation."""
    return float(np.corrcoef(np.argsort(np.argsort(a)), np.argsort(np.argsort(b)))[0, 1])

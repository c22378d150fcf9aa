"""The world model's networks: a probabilistic ensemble that predicts the change of the state (Chua et al. 2018, PETS).

Five members, each two hidden layers of 256 units, a shared trunk with a head for the state and one for the reward,
each head with a mean and a bounded log-variance. All members run in one batched matrix product per layer; their
weights never touch one another. Training only: the robot runs the exported network (runtime.py).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from dyna_nav.world_model.encoding import FEATURES, OUTPUTS, STATE_OUTPUTS

MEMBERS = 5
HIDDEN = 256


class EnsembleLinear(nn.Module):
    """One linear layer for each member: [members, rows, inputs] -> [members, rows, outputs], each its own init."""

    def __init__(self, members: int, inputs: int, outputs: int):
        super().__init__()
        weight = torch.empty(members, inputs, outputs)
        for member in weight:
            nn.init.trunc_normal_(member, std=1 / (2 * math.sqrt(inputs)))
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(members, 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.matmul(x, self.weight) + self.bias


class Ensemble(nn.Module):
    """Features in SI units -> normalised mean and log-variance of (change of state, reward), for each member.

    The heads of state and reward lie side by side in one layer: columns 0..5 are the state's mean, 6 the reward's,
    then their log-variances in the same order.
    """

    def __init__(self, feature_mean: Tensor, feature_std: Tensor, members: int = MEMBERS, hidden: int = HIDDEN):
        super().__init__()
        self.members = members
        self.register_buffer("feature_mean", feature_mean.float())
        self.register_buffer("feature_scale", 1 / feature_std.float())
        self.first = EnsembleLinear(members, FEATURES, hidden)
        self.second = EnsembleLinear(members, hidden, hidden)
        self.heads = EnsembleLinear(members, hidden, 2 * OUTPUTS)
        self.max_log_variance = nn.Parameter(torch.full((OUTPUTS,), 0.5))
        # The reward is a constant nearly everywhere; being certain of that would make each collision cost millions.
        self.min_log_variance = nn.Parameter(torch.tensor([-7.0] * STATE_OUTPUTS + [-4.0]))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """features [members, rows, FEATURES] -> mean, log-variance [members, rows, OUTPUTS], normalised units."""
        x = (features - self.feature_mean) * self.feature_scale
        x = functional.silu(self.first(x))
        x = functional.silu(self.second(x))
        mean, log_variance = self.heads(x).split(OUTPUTS, dim=-1)
        log_variance = self.max_log_variance - functional.softplus(self.max_log_variance - log_variance)
        log_variance = self.min_log_variance + functional.softplus(log_variance - self.min_log_variance)
        return mean, log_variance

    def bound_penalty(self) -> Tensor:
        """Pulls the learned bounds of the log-variance together (PETS, appendix A.1)."""
        return 0.01 * (self.max_log_variance.sum() - self.min_log_variance.sum())


def gaussian_nll(mean: Tensor, log_variance: Tensor, target: Tensor) -> Tensor:
    """Negative log-likelihood, without the constant, of each output: all arguments [..., OUTPUTS], normalised units."""
    return 0.5 * ((mean - target).square() * torch.exp(-log_variance) + log_variance)

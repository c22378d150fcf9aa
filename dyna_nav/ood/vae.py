"""The OOD detector's variational autoencoder (Kingma and Welling 2014), its training and its export.

It learns to rebuild the features of familiar driving through a narrow code; what it cannot rebuild is new. The unit of
a feature's error is the one that it exceeds once in a thousand familiar cycles, but never below its resolution; the
unit of a group's mean squared error the greatest that lasted long enough for an alarm (series.py); the score is that of
the worst group. So a feature that is always rebuilt well (a laser that never looks through a wall) raises the alarm
when it is not, and one with rare large errors does not raise it alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from dyna_nav.ood.features import GROUPS, OOD_FEATURES, RESOLUTION
from dyna_nav.world_model.export import Graph, require_equal

LATENT = 16
HIDDEN = 128
INPUT_LIMIT = 6.0  # the encoder sees standardised features up to this; the error is measured against the full value
REMARKABLE = 0.999  # quantile of the held-out errors of a feature that is its unit
LEAST_SPREAD = 0.3  # of a feature, in units of its resolution: the encoder does not see noise blown up


@dataclass(frozen=True)
class VAEConfig:
    """Numbers of the training run."""

    epochs: int = 40
    batch: int = 512
    learning_rate: float = 1e-3
    kl_weight: float = 0.002  # per feature: of the code's divergence from the standard normal
    seed: int = 0


class VAE(nn.Module):
    """Features [rows, OOD_FEATURES] -> code -> features; ``errors`` is what the robot runs."""

    def __init__(self, mean: Tensor, std: Tensor):
        super().__init__()
        self.register_buffer("mean", mean.float())
        self.register_buffer("scale", 1 / std.float())
        self.register_buffer("error_scale", torch.ones(OOD_FEATURES))  # set after training, held-out rows
        self.encoder = nn.ModuleList([nn.Linear(OOD_FEATURES, HIDDEN), nn.Linear(HIDDEN, HIDDEN)])
        self.code = nn.Linear(HIDDEN, 2 * LATENT)
        self.decoder = nn.ModuleList([nn.Linear(LATENT, HIDDEN), nn.Linear(HIDDEN, HIDDEN)])
        self.rebuilt = nn.Linear(HIDDEN, OOD_FEATURES)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for layer in self.encoder:
            x = functional.silu(layer(x))
        return self.code(x).chunk(2, dim=-1)

    def decode(self, z: Tensor) -> Tensor:
        for layer in self.decoder:
            z = functional.silu(layer(z))
        return self.rebuilt(z)

    def standardise(self, features: Tensor) -> Tensor:
        return (features - self.mean) * self.scale

    def forward(self, features: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Training pass: squared error [rows, OOD_FEATURES] and divergence of the code [rows]."""
        x = self.standardise(features)
        mean, log_variance = self.encode(x.clamp(-INPUT_LIMIT, INPUT_LIMIT))
        log_variance = log_variance.clamp(-10, 4)
        noise = torch.randn(mean.shape, generator=generator)
        rebuilt = self.decode(mean + noise * torch.exp(0.5 * log_variance))
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=-1)
        return (rebuilt - x).square(), divergence

    @torch.no_grad()
    def errors(self, features: Tensor) -> Tensor:
        """Squared reconstruction error of each feature [rows, OOD_FEATURES] through the code's mean, scaled."""
        x = self.standardise(features)
        rebuilt = self.decode(self.encode(x.clamp(-INPUT_LIMIT, INPUT_LIMIT))[0])
        return ((rebuilt - x) / self.error_scale).square()


def train_vae(
    train: Tensor,
    held_out: Tensor,
    config: VAEConfig,
    progress: Callable[[int, int, str], None] = lambda epoch, epochs, text: None,
) -> VAE:
    """Train on familiar features [n, OOD_FEATURES]; the scale of each error is measured on held-out ones."""
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    std = train.std(dim=0)
    vae = VAE(train.mean(dim=0), torch.maximum(std, LEAST_SPREAD * torch.from_numpy(RESOLUTION)))
    steps = max(1, len(train) // config.batch)
    optimiser = torch.optim.Adam(vae.parameters(), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps * config.epochs)
    for epoch in range(config.epochs):
        for rows in torch.randperm(len(train), generator=generator)[: steps * config.batch].split(config.batch):
            squares, divergence = vae(train[rows], generator)
            loss = (squares.clamp(max=100.0).mean(dim=-1) + config.kl_weight * divergence).mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
            optimiser.step()
            schedule.step()
        progress(epoch + 1, config.epochs, f"reconstruction {float(vae.errors(held_out).mean()):.4f}")
    unit = np.quantile(vae.errors(held_out).sqrt().numpy(), REMARKABLE, axis=0)
    vae.error_scale.copy_(torch.maximum(torch.from_numpy(unit), torch.from_numpy(RESOLUTION) * vae.scale))
    return vae.eval()


def scale_groups(vae: VAE, units: np.ndarray) -> None:
    """Measure the mean squared error of each group in its unit [groups] from now on."""
    widths = np.diff([*(first for _, first in GROUPS), OOD_FEATURES])
    vae.error_scale.mul_(torch.from_numpy(np.repeat(np.sqrt(units), widths)).float())


def export_vae(vae: VAE, check: Tensor) -> bytes:
    """The autoencoder as ONNX bytes: "features" [rows, OOD_FEATURES] -> "errors"; compared with torch on check."""
    graph = Graph()
    x = graph.add("Sub", "features", graph.constant("mean", vae.mean))
    x = graph.add("Mul", x, graph.constant("scale", vae.scale))
    limits = graph.constant("low", torch.tensor(-INPUT_LIMIT)), graph.constant("high", torch.tensor(INPUT_LIMIT))
    h = graph.add("Clip", x, *limits)
    layers = [(f"encoder_{i}", layer) for i, layer in enumerate(vae.encoder)]
    for name, layer in layers:
        h = graph.silu(graph.linear(name, h, layer.weight.T, layer.bias))
    h = graph.linear("code", h, vae.code.weight[:LATENT].T, vae.code.bias[:LATENT])
    for i, layer in enumerate(vae.decoder):
        h = graph.silu(graph.linear(f"decoder_{i}", h, layer.weight.T, layer.bias))
    h = graph.linear("rebuilt", h, vae.rebuilt.weight.T, vae.rebuilt.bias)
    error = graph.add("Mul", graph.add("Sub", h, x), graph.constant("error_scale", 1 / vae.error_scale))
    graph.nodes.append(onnx.helper.make_node("Mul", [error, error], ["errors"], name="errors"))
    shape = ["rows", OOD_FEATURES]
    model = graph.model("vae", {"features": shape}, {"errors": shape})
    require_equal(model, check, (vae.errors(check),))
    return model

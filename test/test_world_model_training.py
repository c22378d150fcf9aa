"""Training: members differ, hard transitions come more often without changing what is learned, calibration holds."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from dyna_nav.world_model.encoding import FEATURES, OUTPUTS  # noqa: E402
from dyna_nav.world_model.ensemble import Ensemble, gaussian_nll  # noqa: E402
from dyna_nav.world_model.source_key import COLLECTED_BY, source_key  # noqa: E402
from dyna_nav.world_model.training import (  # noqa: E402
    TrainingConfig,
    Transitions,
    _clip_each_member,
    _draw_epoch,
    calibrate,
    train_ensemble,
)

NOISE = 0.1


def transitions(rows, seed):
    """A linear world with noise of a known size."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.rand(rows, FEATURES, generator=generator)
    world = torch.randn(FEATURES, OUTPUTS, generator=torch.Generator().manual_seed(99))
    return Transitions(features, features @ world + NOISE * torch.randn(rows, OUTPUTS, generator=generator))


@pytest.fixture(scope="module")
def trained():
    torch.set_num_threads(1)
    held_out = transitions(1500, 1)
    config = TrainingConfig(epochs=14, batch=128, learning_rate=2e-3)
    return *train_ensemble(transitions(5000, 0), held_out, config), held_out


def test_training_finds_the_world_and_its_noise(trained):
    ensemble, norm, _, held_out = trained
    with torch.no_grad():
        mean, log_variance = ensemble(held_out.features.expand(5, -1, -1))
    error = (mean.mean(dim=0) - norm.targets(held_out)) * norm.target_std
    assert float(error.square().mean().sqrt()) < 1.3 * NOISE
    noise = (torch.exp(0.5 * log_variance) * norm.target_std).mean()
    assert float(noise) == pytest.approx(NOISE, rel=0.3)


def test_members_are_not_copies_of_one_another(trained):
    weight = trained[0].first.weight
    assert all(not torch.allclose(weight[0], weight[member]) for member in range(1, 5))


def test_calibrated_intervals_cover_what_they_promise(trained):
    ensemble, norm, _, held_out = trained
    figures = calibrate(ensemble, held_out.features, norm.targets(held_out), norm.target_std).figures
    for name, share in figures["coverage_68"].items():
        assert share == pytest.approx(0.683, abs=0.06), name


def test_errors_make_a_transition_come_more_often_but_count_no_more():
    priority = torch.ones(2, 1000)
    priority[:, :10] = 50.0
    generator = torch.Generator().manual_seed(0)
    drawn, weights = _draw_epoch(priority, 200, TrainingConfig(batch=100), generator)
    hard = drawn < 10
    assert float(hard.float().mean()) > 0.04
    assert float((weights * hard).mean()) == pytest.approx(0.01, rel=0.15)


def test_one_members_bad_batch_does_not_slow_the_others():
    ensemble = Ensemble(torch.zeros(FEATURES), torch.ones(FEATURES))
    mean, log_variance = ensemble(torch.randn(5, 8, FEATURES))
    loss = gaussian_nll(mean, log_variance, torch.zeros_like(mean)).sum(dim=(1, 2))
    (loss * torch.tensor([1e6, 1e-4, 1e-4, 1e-4, 1e-4])).sum().backward()
    before = ensemble.first.weight.grad[1].clone()
    _clip_each_member(ensemble, 1.0)
    assert torch.equal(ensemble.first.weight.grad[1], before)
    assert float(ensemble.first.weight.grad[0].norm()) <= 1.0 + 1e-4


def test_the_log_variance_stays_inside_its_bounds():
    ensemble = Ensemble(torch.zeros(FEATURES), torch.ones(FEATURES))
    with torch.no_grad():
        _, log_variance = ensemble(1e4 * torch.randn(5, 50, FEATURES))
    beyond = 0.02  # the second softplus may lift what the first one bounded by ln(1 + e^(lower - upper))
    assert (log_variance <= ensemble.max_log_variance + beyond).all()
    assert (log_variance >= ensemble.min_log_variance - beyond).all()


def test_the_same_seed_trains_the_same_ensemble():
    data, config = transitions(400, 0), TrainingConfig(epochs=2, batch=64)
    first, second = (train_ensemble(data, data, config)[0] for _ in range(2))
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


def test_what_other_source_recorded_has_another_name(tmp_path):
    (tmp_path / "simulation").mkdir()
    (tmp_path / "mdp.py").write_text("STEP = 0.1\n")
    (tmp_path / "simulation" / "drive.py").write_text("gain = 1\n")
    parts = ("simulation", "mdp.py")
    before = source_key(parts, tmp_path)
    assert source_key(parts, tmp_path) == before
    (tmp_path / "other.py").write_text("nothing = 0\n")
    assert source_key(parts, tmp_path) == before
    (tmp_path / "simulation" / "drive.py").write_text("gain = 2\n")
    assert source_key(parts, tmp_path) != before


def test_all_source_that_recordings_depend_on_is_there():
    assert len(source_key(COLLECTED_BY)) == 8

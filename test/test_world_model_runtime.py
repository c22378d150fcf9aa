"""The exported model predicts what was trained, on whatever provider runs, and without torch."""

import dataclasses
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest

from dyna_nav.world_model import WorldModel, load_bundle
from dyna_nav.world_model.encoding import FEATURE_NAMES, FEATURES, FIRST_CLEARANCE, OUTPUT_NAMES, OUTPUTS


@pytest.fixture(scope="module")
def model():
    return WorldModel(load_bundle(), "cpu")


def driving(rows, speed=1.0, command=1.0, turn=0.0, clearance=2.0):
    """Features of robots that drive straight at speed [m/s] and are told a command."""
    features = np.zeros((rows, FEATURES), np.float32)
    for name, value in {
        "speed": speed,
        "battery": 0.7,
        "previous_speed": speed,
        "command_speed": command,
        "previous_turn_rate": turn,
        "command_turn_rate": turn,
        "turn_rate": turn,
    }.items():
        features[:, FEATURE_NAMES.index(name)] = value
    features[:, FIRST_CLEARANCE:] = clearance
    return features


def everyone(model, features):
    return np.ascontiguousarray(np.broadcast_to(features, (model.members, *features.shape)))


def test_prediction_has_the_promised_shape(model):
    mean, variance = model.predict(everyone(model, driving(7)))
    assert mean.shape == variance.shape == (model.members, 7, OUTPUTS)
    assert mean.dtype == variance.dtype == np.float32
    assert (variance > 0).all()


def test_a_robot_at_cruise_goes_on(model):
    mean, _ = model.predict_mixture(driving(1))
    assert mean[0, OUTPUT_NAMES.index("dx")] == pytest.approx(0.1, abs=0.01)
    assert mean[0, OUTPUT_NAMES.index("dspeed")] == pytest.approx(0.0, abs=0.03)
    assert mean[0, OUTPUT_NAMES.index("dbattery")] < 0


def test_a_robot_told_to_stop_slows_down(model):
    dspeed = OUTPUT_NAMES.index("dspeed")
    features = driving(1, command=0.0)
    first, _ = model.predict_mixture(features)  # most of the step passes before the command takes effect
    features[:, FEATURE_NAMES.index("previous_speed")] = 0.0
    second, _ = model.predict_mixture(features)
    assert second[0, dspeed] < -0.1
    assert second[0, dspeed] < first[0, dspeed] < -0.005


def test_each_member_predicts_its_own_rows(model):
    features = np.stack([driving(3, speed=0.3 * member) for member in range(model.members)])
    mean, _ = model.predict(features)
    for member in range(model.members):
        alone, _ = model.predict(everyone(model, features[member]))
        np.testing.assert_allclose(mean[member], alone[member], rtol=1e-4, atol=1e-5)


def test_members_disagree_more_about_what_they_have_never_seen(model):
    familiar, _ = model.disagreement(driving(1))
    strange, _ = model.disagreement(driving(1, speed=-6.0, command=9.0, turn=5.0))
    assert strange[0] > 3 * familiar[0]
    assert familiar[0] < 0.3


def test_asking_for_tensorrt_where_it_cannot_run_is_said_aloud():
    model = WorldModel(load_bundle(), "tensorrt")
    if model.provider == "tensorrt":
        pytest.skip("TensorRT runs here")
    assert any("Tensorrt" in warning for warning in model.warnings)
    assert model.predict(everyone(model, driving(2)))[0].shape == (model.members, 2, OUTPUTS)


def test_an_unknown_provider_is_refused():
    with pytest.raises(ValueError, match="parameter provider is 'tpu'"):
        WorldModel(load_bundle(), "tpu")


@pytest.mark.parametrize(("network", "says"), [("cut", "no provider of ONNX Runtime can run"), ("vae", "it must take")])
def test_a_file_that_is_no_such_network_is_refused_by_name(network, says):
    bundle = load_bundle()
    content = bundle.vae if network == "vae" else bundle.ensemble[:5000]
    with pytest.raises(ValueError, match=f"ensemble.onnx: .*{says}"):
        WorldModel(dataclasses.replace(bundle, ensemble=content), "cpu")


def test_the_provider_is_read_back_from_the_session(model):
    assert model.provider == "cpu"
    assert not model.warnings


def test_the_graph_holds_plain_operators_only():
    onnx = pytest.importorskip("onnx")
    graph = onnx.load_model_from_string(load_bundle().ensemble).graph
    assert {node.op_type for node in graph.node} <= {"MatMul", "Add", "Sub", "Mul", "Sigmoid", "Split", "Softplus"}


def test_the_robots_process_imports_no_torch():
    code = (
        "import sys; import dyna_nav.world_model.residual, dyna_nav.ood; from dyna_nav.world_model import *;"
        "WorldModel(load_bundle(), 'cpu');"
        "sys.exit(any(name in sys.modules for name in ('torch', 'mujoco', 'matplotlib', 'onnx')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_onnx_runtime_computes_what_torch_does():
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from dyna_nav.world_model.ensemble import Ensemble
    from dyna_nav.world_model.export import export_ensemble

    torch.manual_seed(0)
    ensemble = Ensemble(torch.randn(FEATURES), torch.rand(FEATURES) + 0.5)
    features = torch.randn(5, 33, FEATURES)
    session = onnxruntime.InferenceSession(export_ensemble(ensemble, features), providers=["CPUExecutionProvider"])
    found = session.run(None, {"features": features.numpy()})
    with torch.no_grad():
        for one, other in zip(found, ensemble(features), strict=True):
            np.testing.assert_allclose(one, other.numpy(), atol=1e-4)

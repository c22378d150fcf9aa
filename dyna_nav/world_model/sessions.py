"""Start ONNX Runtime on the best provider that really runs: TensorRT, then CUDA, then CPU, never in silence.

ONNX Runtime itself falls back without an error when a provider's libraries are missing, so what runs is read back
from the session, and every provider that was wanted and did not start becomes a sentence in the result.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

NAMES = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
PROVIDERS = ("auto", *NAMES)
MAX_ROWS = 4096  # TensorRT engines are built for up to this many rows at once


@dataclass(frozen=True)
class Started:
    """A running session, the provider it runs on ("tensorrt", "cuda" or "cpu") and what did not start."""

    session: onnxruntime.InferenceSession
    provider: str
    warnings: tuple[str, ...]


def start_session(model: bytes, file: Path, provider: str, threads: int, version: str, input_shape: tuple) -> Started:
    """Start a session for a network given as ONNX bytes, as they were read from a file.

    provider "auto" tries every provider that this ONNX Runtime was built with, best first; a named one is tried
    first and its failure is reported. version names the folder of TensorRT's engine and timing caches. input_shape
    is that of the only input, None for the axis of rows. Raises ValueError for an unknown provider, and, with the
    file's name, for a network that no provider can run or that takes another input.
    """
    if provider not in PROVIDERS:
        raise ValueError(f"parameter provider is {provider!r}; it must be one of {', '.join(PROVIDERS)}")
    built_with = onnxruntime.get_available_providers()
    order = list(NAMES)
    wanted = (
        [name for name in order if NAMES[name] in built_with] if provider == "auto" else order[order.index(provider) :]
    )
    warnings = []
    for name in wanted:
        if NAMES[name] not in built_with:
            warnings.append(
                f"{NAMES[name]} was asked for, but this onnxruntime {onnxruntime.__version__} is built without it"
            )
            continue
        session, reason = _try(model, name, threads, version, input_shape)
        if session is not None:
            _check_input(session, file, input_shape)
            return Started(session, name, tuple(warnings))
        warnings.append(f"{NAMES[name]} could not start: {reason}")
    raise ValueError(f"{file}: no provider of ONNX Runtime can run this network ({'; '.join(warnings)})")


def _check_input(session: onnxruntime.InferenceSession, file: Path, shape: tuple) -> None:
    """Refuse a network whose one input is not ``features`` of the shape."""
    found = {node.name: node.shape for node in session.get_inputs()}
    sizes = found.get("features", [])
    fits = len(sizes) == len(shape) and all(size in (None, has) for size, has in zip(shape, sizes, strict=True))
    if list(found) != ["features"] or not fits:
        wanted = ["rows" if size is None else size for size in shape]
        raise ValueError(f"{file}: the network takes {found}; it must take features {wanted}, train a new bundle")


def _try(model: bytes, name: str, threads: int, version: str, input_shape: tuple):
    """(session, "") when the provider runs the network, else (None, reason)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers: list = [(NAMES[name], _tensorrt_options(version, input_shape))] if name == "tensorrt" else [NAMES[name]]
    if name == "tensorrt":
        providers.append(NAMES["cuda"])
    if name != "cpu":
        providers.append(NAMES["cpu"])
    try:
        session = onnxruntime.InferenceSession(model, options, providers=providers)
    except Exception as error:  # ONNX Runtime raises many types, its own and RuntimeError; each means "not this one"
        return None, str(error).splitlines()[0]
    running = session.get_providers()
    if running[0] != NAMES[name]:
        return None, f"the session runs on {running[0]} (its libraries are missing or its device is absent)"
    return session, ""


def _tensorrt_options(version: str, input_shape: tuple) -> dict:
    """FP16, and engines and timings kept between runs: the first start builds for minutes, later ones load."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = root / "dyna_nav" / "tensorrt" / version
    cache.mkdir(parents=True, exist_ok=True)

    def shape(rows: int) -> str:
        return "features:" + "x".join(str(rows if size is None else size) for size in input_shape)

    return {
        "trt_fp16_enable": True,
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(cache),
        "trt_profile_min_shapes": shape(1),
        "trt_profile_opt_shapes": shape(256),
        "trt_profile_max_shapes": shape(MAX_ROWS),
    }

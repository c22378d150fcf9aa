"""The stages of training, in the order in which they run; each leaves its result in the work folder."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress
from scipy.stats import chi2

from dyna_nav.mdp import STEP
from dyna_nav.ood.alarm import verdicts
from dyna_nav.ood.evaluation import families, load_novel, recall, record_novel
from dyna_nav.ood.runtime import OODConfig
from dyna_nav.ood.series import (
    Series,
    calibrate_threshold,
    false_alarms,
    group_units,
    residuals,
    scores_of,
    series_of,
)
from dyna_nav.ood.vae import VAEConfig, export_vae, scale_groups, train_vae
from dyna_nav.simulation.timing import LATEST, PUNCTUAL
from dyna_nav.world_model.bundle import Bundle, BundleError, load_bundle, write_bundle
from dyna_nav.world_model.collection import (
    DEFAULT_SITE_SHARE,
    HEAVIEST,
    Episode,
    collect_shard,
    plan_episodes,
)
from dyna_nav.world_model.encoding import OUTPUT_NAMES
from dyna_nav.world_model.ensemble import HIDDEN, MEMBERS, Ensemble
from dyna_nav.world_model.export import export_ensemble
from dyna_nav.world_model.source_key import COLLECTED_BY, TRAINED_BY, source_key
from dyna_nav.world_model.train_command import Sizes, parallel
from dyna_nav.world_model.training import (
    Calibrated,
    Normalisation,
    TrainingConfig,
    Transitions,
    calibrate,
    evaluate,
    train_ensemble,
)

EPISODE_STEPS = 500
SEED_BLOCK = 100_000  # seeds of different parts never meet


class Pipeline:
    """Everything from the first transition to the bundle."""

    def __init__(self, work: Path, sizes: Sizes, seed: int, processes: int, progress: Progress):
        # What another simulator or another encoding recorded is not mixed with what this one does.
        self.work, self.sizes, self.seed = work / source_key(COLLECTED_BY), sizes, seed
        self.work.mkdir(parents=True, exist_ok=True)
        self.processes, self.progress = processes, progress
        self._clock = self.work / "seconds.json"
        self.seconds: dict[str, float] = json.loads(self._clock.read_text()) if self._clock.exists() else {}
        base = seed * 10 * SEED_BLOCK
        share = sizes.transitions * 5 // 6  # the rest are the held-out sites
        self.parts = {
            "training": plan_episodes(share, base, EPISODE_STEPS, DEFAULT_SITE_SHARE),
            "held-out": plan_episodes(sizes.transitions - share, base + SEED_BLOCK, EPISODE_STEPS),
            "calibration": plan_episodes(sizes.calibration, base + 2 * SEED_BLOCK, EPISODE_STEPS),
            "evaluation": plan_episodes(sizes.evaluation, base + 3 * SEED_BLOCK, EPISODE_STEPS),
        }
        self.fault_seed = base + 4 * SEED_BLOCK

    def run(self, out: Path, command: str, created: str) -> Bundle:
        """All stages; returns the bundle as it was read back. Raises BundleError when it does not read back."""
        self._collect()
        ensemble, norm, calibrated, figures = self._ensemble()
        vae, threshold, ood_figures = self._ood(ensemble, norm, calibrated)
        example = self._rows("held-out", 1)
        calibration = {
            "output_offset": norm.target_mean.tolist(),
            "output_scale": norm.target_std.tolist(),
            "variance_scale": calibrated.variance_scale.tolist(),
            "epistemic_scale": calibrated.epistemic_scale,
            "training_error": figures["calibration"]["mixture_motion_mse"],
            "ood": vars(threshold),
        }
        features = example.features[:512].expand(MEMBERS, -1, -1).contiguous()
        training = {
            "command": command,
            "seed": self.seed,
            "sizes": vars(self.sizes),
            "heaviest_payload_kg": HEAVIEST,
            "latest_command_s": LATEST,
            "punctual_share": PUNCTUAL,
            "seconds": {name: round(value, 1) for name, value in self.seconds.items()},
            "ensemble": figures,
            "ood": ood_figures,
        }
        return write_bundle(
            out,
            export_ensemble(ensemble, features),
            export_vae(vae, self._example_ood),
            calibration,
            training,
            _version_at(out),
            created,
        )

    # Stages.

    def _collect(self) -> None:
        began = time.monotonic()
        for part, plans in self.parts.items():
            folder = self.work / part
            folder.mkdir(exist_ok=True)
            # Half of the familiar driving for the detector is careful, as a planner's is.
            calls = [
                (folder, plan, part in ("calibration", "evaluation") and k % 2 == 0) for k, plan in enumerate(plans)
            ]
            parallel(collect_shard, calls, self.processes, self.progress, f"collecting: {part}")
        calls = [
            (self.work / "novel", k, self.fault_seed + 1000 * k + episode)
            for k in range(len(families(np.random.default_rng(0))))
            for episode in range(self.sizes.episodes)
        ]
        (self.work / "novel").mkdir(exist_ok=True)
        parallel(record_novel, calls, self.processes, self.progress, "collecting: novel states")
        self.novel_calls = calls
        self._spent("collecting", began)

    def _rows(self, part: str, shards: int | None = None) -> Transitions:
        """The learnable transitions of a part."""
        features, targets = [], []
        for plan in self.parts[part][:shards]:
            episode = Episode.load(self.work / part / plan.name)
            features.append(episode.features[episode.learnable])
            targets.append(episode.targets[episode.learnable].astype(np.float32))
        return Transitions(torch.from_numpy(np.concatenate(features)), torch.from_numpy(np.concatenate(targets)))

    def _ensemble(self) -> tuple[Ensemble, Normalisation, Calibrated, dict]:
        began = time.monotonic()
        train, held_out = self._rows("training"), self._rows("held-out")
        path = self.work / "ensemble.npz"
        config = TrainingConfig(epochs=self.sizes.epochs, seed=self.seed)
        norm = Normalisation.of(train)
        names = [plan.name for plan in self.parts["training"] + self.parts["held-out"]]
        key = json.dumps([vars(config), names, source_key(TRAINED_BY)])
        found = _load_ensemble(path, key, norm)
        if found:
            ensemble, records = found
        else:
            report = self._task("training: ensemble", config.epochs)
            ensemble, norm, records = train_ensemble(train, held_out, config, report)
            state = {name: value.numpy() for name, value in ensemble.state_dict().items()}
            part = path.with_suffix(".part.npz")
            np.savez(part, **state, records=json.dumps(records), key=key)
            part.replace(path)
            self._spent("ensemble", began)
        targets = norm.targets(held_out)
        calibrated = calibrate(ensemble.eval(), held_out.features, targets, norm.target_std)
        score = evaluate(ensemble, held_out.features, targets)
        figures = {
            "members": MEMBERS,
            "hidden": HIDDEN,
            "training_transitions": len(train.features),
            "training_sites": len({plan.site for plan in self.parts["training"]}),
            "held_out_transitions": len(held_out.features),
            "held_out_sites": len({plan.site for plan in self.parts["held-out"]}),
            "epochs": records,
            "state_mse_per_member": np.round(score.state_mse, 6).tolist(),
            "nll_per_member": np.round(score.nll.sum(axis=1), 4).tolist(),
            "mse": {name: round(float(score.mse[:, i].mean()), 6) for i, name in enumerate(OUTPUT_NAMES)},
            "target_std": {name: float(norm.target_std[i]) for i, name in enumerate(OUTPUT_NAMES)},
            "calibration": calibrated.figures,
        }
        return ensemble, norm, calibrated, figures

    def _series(self, part: str, ensemble: Ensemble, norm: Normalisation, scale: np.ndarray, every: int = 1) -> list:
        plans = self.parts[part][::every]
        report, found = self._task(f"OOD features: {part}", len(plans)), []
        for k, plan in enumerate(plans):
            episode = Episode.load(self.work / part / plan.name)
            found.append(series_of(episode, plan.site, residuals(episode, ensemble, norm, scale)))
            report(k + 1, len(plans), "")
        return found

    def _ood(self, ensemble: Ensemble, norm: Normalisation, calibrated: Calibrated):
        began = time.monotonic()
        scale = calibrated.variance_scale

        def familiar(series: list[Series]) -> torch.Tensor:
            return torch.from_numpy(np.concatenate([one.features[one.familiar] for one in series]))

        # The ensemble's residuals on its own training sites are smaller than on new ones: the autoencoder learns from
        # both, and its errors are scaled and its threshold set on sites that neither network has seen.
        train = familiar(
            self._series("training", ensemble, norm, scale) + self._series("held-out", ensemble, norm, scale)
        )
        calibration = self._series("calibration", ensemble, norm, scale)
        held_out = familiar(calibration)
        config = VAEConfig(epochs=self.sizes.vae_epochs, seed=self.seed)
        vae = train_vae(train, held_out, config, self._task("training: autoencoder", config.epochs))
        self._example_ood = held_out[:512]
        masks = [one.familiar for one in calibration]
        scale_groups(vae, group_units(vae, calibration))
        scores = [scores_of(vae, one.features) for one in calibration]
        threshold = calibrate_threshold(scores, masks)
        evaluation = self._series("evaluation", ensemble, norm, scale)
        evaluated = [scores_of(vae, one.features) for one in evaluation]
        alarms, hours = false_alarms(evaluated, [one.familiar for one in evaluation], threshold)
        figures = {
            "threshold": threshold.threshold,
            "persistence": threshold.persistence,
            "window": threshold.window,
            "resume_s": OODConfig().resume,
            "calibration_robot_hours": round(false_alarms(scores, masks, threshold)[1], 2),
            "false_alarms": alarms,
            "robot_hours": round(hours, 2),
            "false_alarms_per_robot_hour": round(alarms / hours, 3),
            "false_alarms_upper_95": round(float(chi2.ppf(0.95, 2 * alarms + 2)) / (2 * hours), 3),  # Garwood 1936
            "familiar_score_quantiles": _quantiles(
                np.concatenate([s[e.familiar] for s, e in zip(evaluated, evaluation, strict=True)])
            ),
            "families": self._recall(vae, threshold, ensemble, norm, scale),
        }
        self.seconds.pop("OOD detector", None)  # never resumed, always done anew
        self._spent("OOD detector", began)
        return vae, threshold, figures

    def _recall(self, vae, threshold, ensemble: Ensemble, norm: Normalisation, scale: np.ndarray) -> dict:
        figures, seen, total = {}, 0.0, 0
        for k, family in enumerate(families(np.random.default_rng(0))):
            found, onsets, scores_after = [], [], []
            for folder, number, seed in self.novel_calls:
                if number != k:
                    continue
                episode, site, onset = load_novel(folder, number, seed)
                series = series_of(episode, site, residuals(episode, ensemble, norm, scale))
                scores = scores_of(vae, series.features[:1])
                found.append(verdicts(scores, threshold, OODConfig().resume, STEP)[0])
                onsets.append(onset)
                if onset is not None:
                    scores_after.append(float(scores[0, onset : onset + round(family.within / STEP)].max()))
            figures[family.name] = recall(family, found, onsets)
            figures[family.name]["peak_scores"] = [round(score, 2) for score in sorted(scores_after)]
            seen += figures[family.name]["recall"] * figures[family.name]["episodes"]
            total += figures[family.name]["episodes"]
        figures["all"] = {"episodes": total, "recall": round(seen / max(total, 1), 4)}
        return figures

    def _spent(self, stage: str, began: float) -> None:
        """Add to the time that a stage took, over all the runs that worked on it."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - began
        self._clock.write_text(json.dumps(self.seconds))

    def _task(self, title: str, total: int):
        task = self.progress.add_task(title, total=total, note="")
        return lambda done, total, note: self.progress.update(task, completed=done, note=note)


def _load_ensemble(path: Path, key: str, norm: Normalisation) -> tuple[Ensemble, list[dict]] | None:
    """The ensemble that an earlier run left, with its record; None when there is none or it was trained otherwise."""
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as file:
        if str(file["key"]) != key:
            return None
        ensemble = Ensemble(norm.feature_mean, norm.feature_std)
        ensemble.load_state_dict({name: torch.from_numpy(file[name]) for name in ensemble.state_dict()})
        return ensemble.eval(), json.loads(str(file["records"]))


def _quantiles(values: np.ndarray) -> dict:
    levels = (0.5, 0.9, 0.99, 0.999, 0.9999, 1.0)
    return {str(level): round(float(np.quantile(values, level)), 4) for level in levels}


def _version_at(folder: Path) -> str | None:
    """Version of the bundle that is about to be replaced; None when there is none that can be read."""
    try:
        return load_bundle(folder).version
    except BundleError:
        return None

"""Visual features for a batch that is about to start: from the cache, or encoded now, each distinct unit once."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from fourways.engines.local.features import FeatureCache, FeatureKey, feature_key
from fourways.engines.local.held import Held
from fourways.engines.local.prefix import PrefixCache
from fourways.engines.local.runner import Runner
from fourways.engines.local.sequence import Sequence
from fourways.engines.local.shown import shown
from fourways.engines.local.stages import Laps
from fourways.families.contract import VisualUnit


class Encoder:
    """Used by the engine's worker alone."""

    def __init__(
        self, runner: Runner, features: FeatureCache, prefixes: PrefixCache, held: Held, device: torch.device
    ) -> None:
        self._runner, self._features, self._prefixes = runner, features, prefixes
        self._held, self._device = held, device

    def encode(self, batch: list[Sequence]) -> int:
        """Give every sequence the features it needs; each distinct unit is encoded once. How many were."""
        began, laps = time.perf_counter_ns(), Laps(self._device)
        for sequence in batch:
            sequence.stages.until("queue", began)
            sequence.laps, sequence.encoded = laps, False
        known, missing = self._look_up(batch)
        with shown(batch if missing else (), "vision_encode", "encode", self._held):
            encoded = dict(zip(missing, self._runner.encode(list(missing.values()), laps), strict=True))
        for sequence in batch:
            self._take_features(sequence, known, encoded)
        for key, tensor in encoded.items():
            self._features.put(key, tensor)
        return len(encoded)

    def _look_up(self, batch: list[Sequence]) -> tuple[dict[FeatureKey, Tensor], dict[FeatureKey, VisualUnit]]:
        """Features that are cached, held from here on whatever becomes of the cache, and units that must be encoded."""
        known: dict[FeatureKey, Tensor] = {}
        missing: dict[FeatureKey, VisualUnit] = {}
        for sequence in batch:
            for shared in sequence.units if sequence.prefix is None else ():
                for unit in shared.units.result() if shared is not None else ():
                    key = feature_key(unit.key, sequence.adapter)
                    if key in known or key in missing:
                        continue
                    if (tensor := self._features.find(key)) is not None:
                        known[key] = tensor
                    else:
                        missing[key] = unit
        return known, missing

    def _take_features(
        self, sequence: Sequence, known: dict[FeatureKey, Tensor], encoded: dict[FeatureKey, Tensor]
    ) -> None:
        if sequence.prefix is not None:
            sequence.cached = [True] * len(sequence.cached)
            self._prefixes.count(hits=1)
            return
        if sequence.prefix_key is not None:
            self._prefixes.count(misses=1)
        for n, visual in enumerate(sequence.layout.visuals):
            keys = [feature_key(key, sequence.adapter) for key in visual.unit_keys]
            fresh = sum(key in encoded for key in keys) if sequence.features[n] is None else 0
            self._features.count(hits=len(keys) - fresh, misses=fresh)
            sequence.cached[n] = fresh == 0
            sequence.encoded |= fresh > 0
            if sequence.features[n] is None:
                sequence.features[n] = [encoded[key] if key in encoded else known[key] for key in keys]

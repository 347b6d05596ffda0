"""Which visual features may be used again: one tensor a unit (image, tile, frame, frame pair), after the connector.

The key is the family's unit key (content, budget, preprocessing) and the adapter, if that one touches the tower or the
connector: features of another set of weights are never taken.
"""

from __future__ import annotations

from fourways.engines.local.adapters import Adapter
from fourways.engines.local.lru import TensorCache

FeatureKey = tuple[str, str | None]
FeatureCache = TensorCache[FeatureKey]


def feature_key(unit_key: str, adapter: Adapter | None) -> FeatureKey:
    return unit_key, adapter.identity if adapter is not None and adapter.touches_vision else None

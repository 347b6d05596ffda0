"""What each architecture's preprocessing does to an image: pixels it is brought to, or tiles it is cut into.

By the settings of transformers' image processors, and of the authors' own code where the layout is theirs. A thumbnail
or base view counts as a tile: the encoder runs on it too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fourways.core.manifest import Architecture, ImageLimits
from fourways.hub.manifest.settings import Settings, count, inner

_Rule = Callable[[Settings, Settings], ImageLimits]


def image_limits(architecture: Architecture, config: Settings, processor: Settings) -> ImageLimits:
    """processor: the settings of the image preprocessing. Empty for an architecture that sees none, or has no rule."""
    rule = _RULES.get(architecture)
    return ImageLimits() if rule is None else rule(config, processor)


def _area(config: Settings, processor: Settings) -> ImageLimits:
    """Qwen-VL: any size between two numbers of pixels. The older names win, as they do in transformers."""
    size = inner(processor, "size")
    least = count(processor.get("min_pixels")) or count(size.get("min_pixels")) or count(size.get("shortest_edge"))
    most = count(processor.get("max_pixels")) or count(size.get("max_pixels")) or count(size.get("longest_edge"))
    return ImageLimits(min_pixels=least, max_pixels=most)


def _square(config: Settings, processor: Settings) -> ImageLimits:
    """The whole image in one view of the encoder's size."""
    tile = _side(inner(config, "vision_config").get("image_size"))
    return ImageLimits(tile=tile, max_tiles=None if tile is None else 1)


def _pinpoints(config: Settings, processor: Settings) -> ImageLimits:
    """LLaVA 1.6 and OneVision: one of the grids, and the base view. The authors' layout has no vision_config; there the
    shortest side of any grid is one tile."""
    listed = config.get("image_grid_pinpoints") or processor.get("image_grid_pinpoints")
    pairs = [_pair(one) for one in listed] if isinstance(listed, list) else []
    grids = [pair for pair in pairs if pair is not None]
    tile = _side(inner(config, "vision_config").get("image_size"))
    if tile is None and grids:
        tile = _side(min(min(grid) for grid in grids))
    if tile is None or not grids:
        return ImageLimits(tile=tile)
    return ImageLimits(tile=tile, max_tiles=1 + max((high // tile[1]) * (wide // tile[0]) for high, wide in grids))


def _dynamic(config: Settings, processor: Settings) -> ImageLimits:
    """InternVL: a grid of at most so many tiles, and a thumbnail where there is more than one."""
    most = count(config.get("max_dynamic_patch")) or count(processor.get("max_patches"))
    own = inner(config, "vision_config").get("image_size")
    tile = _side(config.get("force_image_size")) or _sized(processor) or _side(own)
    thumbnail = config.get("use_thumbnail", True) is not False and most is not None and most > 1
    return ImageLimits(tile=tile, max_tiles=None if most is None else most + thumbnail)


def _mllama(config: Settings, processor: Settings) -> ImageLimits:
    vision = inner(config, "vision_config")
    return ImageLimits(
        tile=_side(vision.get("image_size")),
        max_tiles=count(vision.get("max_num_tiles")) or count(processor.get("max_image_tiles")),
    )


def _gemma(config: Settings, processor: Settings) -> ImageLimits:
    """One view; pan and scan, where it is on, adds crops."""
    plain = _square(config, processor)
    if processor.get("do_pan_and_scan") is not True or plain.tile is None:
        return plain
    crops = count(processor.get("pan_and_scan_max_num_crops"))
    return ImageLimits(tile=plain.tile, max_tiles=None if crops is None else crops + 1)


def _split(config: Settings, processor: Settings) -> ImageLimits:
    """Idefics 3 and SmolVLM: the image is brought to a longest side of so many tiles, and there is a whole view."""
    side = count(inner(processor, "max_image_size").get("longest_edge"))
    longest = count(inner(processor, "size").get("longest_edge"))
    if side is None:
        return _square(config, processor)
    if processor.get("do_image_splitting") is False:
        return ImageLimits(tile=(side, side), max_tiles=1)
    across = None if longest is None else -(-longest // side)
    return ImageLimits(tile=(side, side), max_tiles=None if across is None else across**2 + (across > 1))


def _longest(config: Settings, processor: Settings) -> ImageLimits:
    """Pixtral: its own shape, neither side longer than this."""
    side = count(inner(processor, "size").get("longest_edge")) or count(
        inner(config, "vision_config").get("image_size")
    )
    return ImageLimits(max_pixels=None if side is None else side**2)


def _crops(config: Settings, processor: Settings) -> ImageLimits:
    """Phi-3 Vision: at most so many crops of 336 pixels, and a whole view."""
    crops = count(processor.get("num_crops"))
    return ImageLimits(tile=(336, 336), max_tiles=None if crops is None else crops + 1)


_RULES: Mapping[Architecture, _Rule] = {
    "qwen2-vl": _area,
    "qwen2.5-vl": _area,
    "qwen3-vl": _area,
    "qwen2.5-omni": _area,
    "llava": _square,
    "llava-next": _pinpoints,
    "llava-onevision": _pinpoints,
    "internvl": _dynamic,
    "mllama": _mllama,
    "gemma3": _gemma,
    "idefics3": _split,
    "smolvlm": _split,
    "pixtral": _longest,
    "phi3-v": _crops,
}


def _sized(processor: Settings) -> tuple[int, int] | None:
    size = inner(processor, "size")
    width, height = count(size.get("width")), count(size.get("height"))
    return None if width is None or height is None else (width, height)


def _side(value: Any) -> tuple[int, int] | None:
    """(width, height) of one number, or of a list [height, width]."""
    if (pair := _pair(value)) is not None:
        return pair[1], pair[0]
    side = count(value)
    return None if side is None else (side, side)


def _pair(value: Any) -> tuple[int, int] | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    first, second = count(value[0]), count(value[1])
    return None if first is None or second is None else (first, second)

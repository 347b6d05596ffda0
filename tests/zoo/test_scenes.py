"""Scenes are pure functions of a seed, and no described scene is on both sides of the hold-out."""

import random

import pytest

from fourways.zoo import suite
from fourways.zoo.batches import image_tokens
from fourways.zoo.oracle import soft_words
from fourways.zoo.prompts import FAMILIES
from fourways.zoo.scenes import LAYOUTS, render, sample_scene, scene


def test_a_seed_draws_the_same_pixels_every_time() -> None:
    assert render(scene(11)).tobytes() == render(scene(11)).tobytes()


def test_seeds_differ() -> None:
    assert len({scene(seed).description for seed in range(50)}) > 40


def test_no_training_scene_has_a_held_out_description() -> None:
    rng = random.Random(0)
    trained = {sample_scene(rng, "train").description for _ in range(3000)}
    held_out = {item.scene.description for items in suite.mme(1, 100).values() for item in items}
    held_out |= {item.scene.description for item in suite.vqav2(1, 100, 1) + suite.refcoco(1, 100, 1)}
    assert not trained & held_out


def test_boxes_lie_inside_the_picture() -> None:
    for seed in range(100):
        drawn = scene(seed)
        for thing in drawn.things:
            x1, y1, x2, y2 = drawn.box_px(thing)
            assert 0 <= x1 < x2 <= drawn.width and 0 <= y1 < y2 <= drawn.height


def test_pictures_come_in_several_sizes_and_shapes() -> None:
    drawn = [scene(seed) for seed in range(200)]
    assert {(s.columns, s.rows) for s in drawn} == set(LAYOUTS)
    assert len({(s.width, s.height) for s in drawn}) >= 12


@pytest.mark.parametrize("family", FAMILIES)
def test_soft_words_count_as_many_as_visual_tokens(family: str) -> None:
    for seed in range(20):
        drawn = scene(seed)
        assert len(soft_words(drawn, family)) == image_tokens(drawn, family)  # type: ignore[arg-type]  # parametrized

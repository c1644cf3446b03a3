"""The world of these tests."""

from collections.abc import Iterator

import pytest

from tests.integration.faults.world import World


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.plan.heal()
    world.manager.close()

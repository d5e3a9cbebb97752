"""Channel layers that ``manage.py telemetry`` looks at, without a server."""

from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer
from channels_redis.core import RedisChannelLayer

from dtx_telemetry.management.layers import _gives_up_after


@pytest.mark.parametrize(("timeout", "told"), [(3, 3), (5, 5), (15, None), (None, None)])
def test_a_client_that_gives_up_before_the_layer_does_is_told(timeout: float | None, told: float | None) -> None:
    """The layer waits five seconds."""
    host: Any = {"address": "redis://127.0.0.1:1/0", "socket_timeout": timeout}
    assert _gives_up_after(RedisChannelLayer(hosts=[host])) == told


def test_another_layer_is_not_asked() -> None:
    """It may wait as it likes."""
    assert _gives_up_after(InMemoryChannelLayer()) is None

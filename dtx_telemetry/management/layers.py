"""Channel layers: each is tried with a message to ourselves."""

import asyncio
import inspect
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings

from ..checks.consumers import find_consumers
from ..errors import error_text
from .report import Finding, noted, works, wrong

__all__ = ["look_at_layers"]

_LAYER_SECONDS = 3.0


def look_at_layers() -> Iterator[Finding]:
    """Send a message through each channel layer, to ourselves."""
    if find_spec("channels") is None:
        yield noted("Channels is not installed")
        return
    configured = getattr(settings, "CHANNEL_LAYERS", {})
    for name in configured:
        yield async_to_sync(_try_layer)(name)
    for consumer in find_consumers():
        alias = getattr(consumer, "channel_layer_alias", "default")
        if alias not in configured and _uses_layer(consumer):
            yield wrong(
                f"{consumer.__module__}.{consumer.__qualname__} uses the channel layer {alias!r}, which is not configured.",
                f"Add {alias!r} to CHANNEL_LAYERS.",
                layer=alias,
            )
    if not configured:
        yield noted("no channel layer is configured")


def _uses_layer(consumer: type) -> bool:
    """Return True if *consumer* joins groups, or names the layer in what its own class says."""
    try:
        return bool(getattr(consumer, "groups", None)) or "channel_layer" in inspect.getsource(consumer)
    except (OSError, TypeError):  # no source
        return False


async def _try_layer(name: str) -> Finding:
    from channels.layers import channel_layers

    from ..websocket.layer import TelemetryChannelLayer

    try:
        layer = channel_layers[name]
        backend = f"{name}: {settings.CHANNEL_LAYERS[name]['BACKEND']}"
    except Exception as error:
        hint = f"Mend CHANNEL_LAYERS[{name!r}]: BACKEND names an installed layer's class, CONFIG what that class takes. "
        hint += "Name the layer itself: 'dtx_telemetry' in INSTALLED_APPS puts ours around it."
        return wrong(f"{name}: this layer could not be made: {error_text(error)}", hint, layer=name)
    try:
        async with asyncio.timeout(_LAYER_SECONDS):
            channel = await layer.new_channel()
            await layer.send(channel, {"type": "dtx_telemetry.trial"})
            received = await layer.receive(channel)
    except Exception as error:
        said = "no answer" if isinstance(error, TimeoutError) else error_text(error)
        return wrong(f"{name}: a message could not be sent through this layer: {said}", "Is its server up?", layer=name)
    if not isinstance(layer, TelemetryChannelLayer):
        return wrong(f"{backend}: it does not carry the context", "Put 'dtx_telemetry' into INSTALLED_APPS.", layer=name)
    if received.get("type") != "dtx_telemetry.trial":
        return wrong(f"{backend}: the message that came is not the one that was sent", layer=name)
    if "InMemoryChannelLayer" in repr(settings.CHANNEL_LAYERS[name]):
        return noted(f"{backend}: a message came through; it is for this process alone", layer=name)
    if (seconds := _gives_up_after(layer)) is not None:
        return wrong(
            f"{backend}: it waits {layer.brpop_timeout} s for a message, and its Redis client gives up after {seconds:g} s. "
            "Sockets that get none for so long die.",
            'Give each of its hosts a longer timeout: {"address": "redis://…", "socket_timeout": 15}.',
            layer=name,
        )
    return works(f"{backend}: a message came through", layer=name)


def _gives_up_after(layer: Any) -> float | None:
    """Return the timeout of the client of channels_redis if it is no longer than the layer waits, else ``None``.

    redis-py has had one since version 8: 5 seconds, just as long as the layer waits.
    """
    try:
        seconds = layer.create_pool(0).make_connection().socket_timeout
        return None if seconds is None or seconds > layer.brpop_timeout else float(seconds)
    except AttributeError:  # another layer
        return None

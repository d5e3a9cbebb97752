"""The queue of a run, as the app declares it and the demo deletes it."""

from kombu import Exchange, Queue

__all__ = ["own_queue"]

# Seconds without a worker after which RabbitMQ drops it by itself, should the demo not be able to.
_LIFETIME = 3600


def own_queue(name: str) -> Queue:
    """Return the queue called *name*, with an exchange of its own."""
    return Queue(name, Exchange(name, auto_delete=True), routing_key=name, expires=_LIFETIME)

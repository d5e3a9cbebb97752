"""kombu's transport and Celery's results by files, but that a file is there only once it is whole.

Both make a file first and write it then, and their readers wait for no lock: a worker that comes in between reads nothing, and
ends with "Unrecoverable error: JSONDecodeError". A chord that looks for its results then fails, and so does who publishes to an
exchange that a queue is bound to at that moment. Importing this puts it in the place of their own.
"""

import hashlib
import json
import time
import uuid
from pathlib import Path
from typing import Any

from celery.app.backends import BACKEND_ALIASES
from celery.backends.filesystem import FilesystemBackend
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.encoding import ensure_bytes
from kombu.utils.json import dumps

__all__ = ["Channel", "Results", "Transport"]


def _write(whole: Path, content: bytes) -> None:
    part = whole.with_name(f"{uuid.uuid4()}.part")  # no queue's, and no result's
    part.write_bytes(content)
    part.rename(whole)


class Channel(filesystem.Channel):
    def _put(self, queue: str, payload: Any, **_: Any) -> None:
        whole = Path(self.data_folder_out) / f"{time.monotonic_ns() // 1_000_000}_{uuid.uuid4()}.{queue}.msg"
        _write(whole, dumps(payload).encode())

    def _queue_bind(self, exchange: str, routing_key: str | None, pattern: str | None, queue: str | None) -> None:
        """Write a file for each binding: two that are made at once are both there."""
        binding = dumps([routing_key or "", pattern or "", queue or ""]).encode()
        folder = self._bindings(exchange)
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / f"{hashlib.sha256(binding).hexdigest()}.json", binding)

    def get_table(self, exchange: str) -> list[Any]:
        files = sorted(self._bindings(exchange).glob("*.json"))
        return [filesystem.exchange_queue_t(*json.loads(file.read_bytes())) for file in files]

    def _bindings(self, exchange: str) -> Path:
        return Path(self.control_folder) / f"{exchange}.bindings"


class Transport(filesystem.Transport):
    Channel = Channel


class Results(FilesystemBackend):
    def set(self, key: bytes, value: Any) -> None:
        _write(Path(self._filename(key).decode()), ensure_bytes(value))


BACKEND_ALIASES["file"] = f"{__name__}:Results"
TRANSPORT_ALIASES["filesystem"] = f"{__name__}:Transport"

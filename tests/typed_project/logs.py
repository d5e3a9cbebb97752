"""A handler of the project's own, which gets what is bound."""

import logging

from dtx_telemetry import ContextFilter, LineFormatter

handler = logging.FileHandler("dota.log", delay=True)
handler.addFilter(ContextFilter())
handler.setFormatter(logging.Formatter("%(request.id)s %(message)s"))

lines = logging.FileHandler("dota.json", delay=True)
lines.setFormatter(LineFormatter(format="json"))

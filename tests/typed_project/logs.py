"""A handler of the project's own, which gets what is bound."""

import logging

from dtx_telemetry import ContextFilter

handler = logging.FileHandler("dota.log", delay=True)
handler.addFilter(ContextFilter())
handler.setFormatter(logging.Formatter("%(request.id)s %(message)s"))

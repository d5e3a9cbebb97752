"""``dtx-telemetry``: shows the JSON lines of production as the lives of requests.

It reads lines (`reading`), joins them (`model`), and shows the result (`commands`, `show`). Of the rest of the library it knows
the names of fields and events, and how values are rendered.
"""

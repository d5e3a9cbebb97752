"""``dtx-telemetry``: shows the JSON lines of production as the lives of requests.

It reads lines (`reading`), joins them (`model`), and shows the result (`commands`, `show`). It knows the names of the fields and
events and how values are rendered, and nothing else of the library.
"""

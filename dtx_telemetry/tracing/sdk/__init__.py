"""OpenTelemetry's SDK: what makes providers and exporters, and keeps them alive from the first use to the process's end.

It knows nothing of scopes, requests or tasks. Nothing here may be imported while OpenTelemetry is off.
"""

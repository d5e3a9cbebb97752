"""HTTP: the request's scope and events, bodies, users, outgoing headers."""

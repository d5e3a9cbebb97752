"""OpenTelemetry's context beside a scope's: a span is current while its scope is, and at no other time."""

from contextvars import Token

from opentelemetry.context import Context, attach, create_key, get_current, get_value, set_value
from opentelemetry.trace import Span, set_span_in_context

from ..context import End, Scope

__all__ = ["ROOT", "Current", "is_in_scope"]

_IN_SCOPE = create_key("dtx_telemetry")
#: The context of a scope of ours with nothing in it: for a span that starts a trace, and for what a message brings.
ROOT = set_value(_IN_SCOPE, True, Context())


def is_in_scope(context: Context) -> bool:
    """Return True if *context* is that of a scope of ours."""
    return get_value(_IN_SCOPE, context) is not None


class Current:
    """Makes *context* current until `leave`. In between it can be left and entered again, also in another thread or task.

    What is current afterwards is what was found. OpenTelemetry's own way, a token, must not be used in another context than the
    one that gave it, and the pieces of a streamed response are made in whatever context the server asks for them.

    Args:
        context: what is current inside, None for nothing at all.
    """

    __slots__ = ("_found", "_inside", "_token")

    def __init__(self, context: Context | None = None) -> None:
        self._inside = Context() if context is None else context
        self._found: Context | None = None
        self._token: Token[Context] | None = None
        self.enter()

    def enter(self) -> None:
        """Make it current, once more after `leave`."""
        self._found = get_current()
        self._token = attach(self._inside)

    def attach(self) -> None:
        """Make it current in a context in which it need not be left."""
        attach(self._inside)

    def leave(self) -> None:
        """Put back what was found."""
        found, self._found = self._found, None  # a context holds spans, which hold much
        self._token = None
        if found is not None:
            self._inside = get_current()
            attach(found)

    def finish_scope(self, scope: Scope, end: End) -> None:
        """Take note of the end of the scope in which it is current. No-op: there may be no span that ends with it."""

    def leave_block(self) -> None:
        """Put back what was found, at the end of a block in a coroutine.

        The garbage collector ends a coroutine in whatever context it runs itself, and there nothing is to be put back.
        """
        token, self._token, self._found = self._token, None, None
        try:
            if token is not None:
                token.var.reset(token)
        except ValueError:  # another context
            pass

    @staticmethod
    def around(span: Span, parent: Context) -> Context:
        """Return the context in which *span* is current, with the baggage of *parent*."""
        context = set_span_in_context(span, parent)
        return context if is_in_scope(context) else set_value(_IN_SCOPE, True, context)

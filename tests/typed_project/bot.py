"""A bot without Django."""

from typing import assert_type

from dtx_telemetry import get_logger, init_telemetry, operation

log = get_logger(__name__)


@operation("discord.message")
async def answer(text: str, *, times: int = 1) -> str:
    """Be an operation at each call; arguments and result are known still."""
    return text * times


@operation("nightly", kind="clean")
def clean(days: int) -> int:
    """Be an operation too."""
    return days


async def main() -> None:
    """Take turns."""
    init_telemetry(stream="stderr")
    with operation("turn", request_id=None, channel=5, **{"user.id": 7}):
        assert_type(await answer("text", times=2), str)
    with operation("turn", "from-the-queue"):
        assert_type(clean(30), int)

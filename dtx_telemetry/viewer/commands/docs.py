"""``docs``: the documentation that comes with the package."""

import sys
from importlib.resources import files

from ..errors import UsageError
from ..query import FOUND

__all__ = ["run"]


def run(name: str | None) -> int:
    """Print the page *name*, or the names and titles of all pages.

    Args:
        name: with or without ``.rst``. ``None`` for the list.

    Raises:
        UsageError: there is no such page.
    """
    pages = {file.name.removesuffix(".rst"): file for file in files("dtx_telemetry").joinpath("docs").iterdir()}
    if name is None:
        width = max(map(len, pages))
        for page, file in sorted(pages.items()):
            sys.stdout.write(f"{page:{width}}  {file.read_text(encoding='utf-8').partition(chr(10))[0]}\n")
        return FOUND
    wanted = pages.get(name.removesuffix(".rst"))
    if wanted is None:
        raise UsageError(f"there is no page {name!r}; there are {', '.join(sorted(pages))}")
    sys.stdout.write(wanted.read_text(encoding="utf-8"))
    return FOUND

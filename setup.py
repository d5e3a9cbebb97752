"""Everything that there is to say stands in setup.cfg, but for the page on PyPI, which is made of the README."""

import re
from pathlib import Path

from setuptools import setup

IMAGE = re.compile(r"^\.\. image:: .*\.svg\n(?:   .*\n)*", re.MULTILINE)
WATERFALL = re.compile(r"^\.\. code-block:: text\n   :name: waterfall\n\n((?: .*\n|\n)+)", re.MULTILINE)


def page():
    """Return the README for PyPI, which shows no picture of the repository: the waterfall stands there as text."""
    here = Path(__file__).parent
    if not (here / "README.rst").exists():  # an image that takes the code alone
        return ""
    readme = (here / "README.rst").read_text(encoding="utf-8")
    waterfall = WATERFALL.search((here / "dtx_telemetry/docs/viewer.rst").read_text(encoding="utf-8"))[1]
    return IMAGE.sub(lambda _: f"::\n\n{waterfall.rstrip()}\n", readme)


setup(long_description=page())

"""What all tests share."""

import pytest
from hypothesis import settings

# The time of one example says nothing on a machine that others use too.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-reference", action="store_true", help="store the scores of this run in tests/reference"
    )

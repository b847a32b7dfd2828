"""What all tests share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The time of one example says nothing on a machine that others use too.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-reference", action="store_true", help="store the scores of this run in tests/reference"
    )
    parser.addoption("--torture", action="store_true", help="attack as long as `make torture` does")
    parser.addoption("--browser", action="store_true", help="run the tests in a real browser, tests/browser")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--torture"):
        return
    long = [item for item in items if any(mark.kwargs.get("only") for mark in item.iter_markers("torture"))]
    # Not skipped: hundreds of lines would hide what is.
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


OWN_GPUS = os.environ.get("CUDA_VISIBLE_DEVICES")


@pytest.fixture(autouse=True)
def own_gpus() -> Iterator[None]:
    """Steps that run in this process claim GPUs by this variable; the next test must not inherit it."""
    yield
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    if OWN_GPUS is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = OWN_GPUS


@pytest.fixture(scope="session")
def torture(request: pytest.FixtureRequest) -> bool:
    """Whether attacks are run in full, or a tenth of them."""
    return bool(request.config.getoption("--torture"))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Tests in a browser take minutes, and need what the environment does not hold."""
    in_browser = collection_path == Path(__file__).parent / "browser"
    return True if in_browser and not config.getoption("--browser") else None

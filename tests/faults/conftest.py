"""How many seeds the kill tests run with: `pytest tests/faults --seeds 200`."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=20, help="how often the gateway is killed")


@pytest.fixture
def seeds(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("--seeds", 20))

from tests.workflow.conftest import client, environment

__all__ = ["client", "environment"]  # fixtures are found by name

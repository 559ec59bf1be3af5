import pytest
from tests.reporting.results_folder import Project


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path)
    made.label("first", 3, 60)
    return made

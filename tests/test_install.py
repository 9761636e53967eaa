"""The install cell, requirements.txt and the machine's packages agree."""

import importlib.metadata

from conftest import ROOT
from packaging.requirements import Requirement

ONLY_FOR_THE_COMMAND_LINE = {"ipykernel", "ipywidgets", "papermill"}


def test_the_cell_and_requirements_txt_name_the_same_ranges(notebook):
    """An installed torch stays, whatever its version: the cell names no range."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    in_file = {line for line in lines if line and not line.startswith("#")}
    in_cell = set(notebook.REQUIREMENTS)
    assert in_cell - in_file == {"torch"}
    assert {
        Requirement(line).name for line in in_file - in_cell
    } == ONLY_FOR_THE_COMMAND_LINE | {"torch"}


def test_every_range_has_an_upper_bound(notebook):
    for requirement in map(Requirement, notebook.REQUIREMENTS):
        bounds = [bound.operator for bound in requirement.specifier]
        assert requirement.name == "torch" or {"<", "<="} & set(bounds), requirement


def test_what_the_tests_run_with_is_in_the_ranges(notebook):
    for requirement in map(Requirement, notebook.REQUIREMENTS):
        installed = importlib.metadata.version(requirement.name)
        assert requirement.specifier.contains(installed), requirement

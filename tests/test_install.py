"""The install cell, requirements.txt and the machine's packages agree."""

import importlib.metadata

import pytest
from conftest import ROOT
from packaging.requirements import Requirement

ONLY_FOR_THE_COMMAND_LINE = {"ipykernel", "ipywidgets", "papermill"}


def test_the_cell_and_requirements_txt_name_the_same_ranges(notebook):
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    in_file = {line for line in lines if line and not line.startswith("#")}
    in_cell = set(notebook.REQUIREMENTS)
    assert in_cell <= in_file
    assert {
        Requirement(line).name for line in in_file - in_cell
    } == ONLY_FOR_THE_COMMAND_LINE


def test_every_range_has_an_upper_bound(notebook):
    for requirement in map(Requirement, notebook.REQUIREMENTS):
        assert any(bound.operator in ("<", "<=") for bound in requirement.specifier), (
            requirement
        )


def test_nothing_is_installed_where_all_is_there(notebook):
    assert notebook.sort_requirements(notebook.REQUIREMENTS) == ([], [])


@pytest.mark.parametrize(
    ("installed", "to_install", "noted"),
    [
        ("0.9", True, False),
        ("1.0", False, False),
        ("1.5", False, False),
        ("2.0", False, True),
        ("3.1", False, True),
    ],
)
def test_only_what_is_missing_or_too_old_is_installed(
    notebook, monkeypatch, installed, to_install, noted
):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: installed)
    wanted, notes = notebook.sort_requirements(["some-package>=1.0,<2"])
    assert bool(wanted) is to_install
    assert bool(notes) is noted and all(
        "some-package " + installed in note for note in notes
    )


def test_a_missing_package_is_installed(notebook):
    assert notebook.sort_requirements(["surely-no-such-package>=1,<2"]) == (
        ["surely-no-such-package<2,>=1"],
        [],
    )

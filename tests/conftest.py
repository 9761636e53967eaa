"""What the tests share: the notebook's definitions, its real model and tokenizers, and
one executed run."""

import contextlib
import json
import linecache
import os
import pathlib
import re
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass

import nbformat
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "math_education_assistant.ipynb"
SHARED_DATA = ROOT.parent / "shared" / "data"

os.environ["HF_HUB_OFFLINE"] = "1"  # no test needs the Hub, and none may wait for it


def load_notebook(name: str, **settings) -> types.ModuleType:
    """A module holding the notebook's settings and definitions; keyword arguments
    override settings.

    What is left to `auto` gets the full preset's values, as on a machine with a GPU and
    the Hub.
    """
    module = sys.modules[name] = types.ModuleType(name)
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        tags = cell["metadata"].get("tags", [])
        if cell["cell_type"] == "code" and {"definitions", "parameters"} & set(tags):
            source, file = "".join(cell["source"]), f"{name}-{cell['id']}"
            linecache.cache[file] = (
                len(source),
                None,
                source.splitlines(keepends=True),
                file,
            )  # as in IPython
            exec(compile(source, file, "exec"), module.__dict__)
        if "parameters" in tags:
            shipped = {
                name: value for name, value in vars(module).items() if name.isupper()
            }
            module.__dict__.update(settings)
        elif "BY_MODEL" in vars(module) and not hasattr(module, "SHIPPED"):
            module.SHIPPED = shipped
            auto = {
                name: full
                for name, (full, _) in (module.BY_PRESET | module.BY_MODEL).items()
            }
            auto["DATASET_CONFIGS"] = module.ULTRADATA_CONFIGS
            module.__dict__.update(
                (name, auto[name])
                for name in auto
                if getattr(module, name) == module.AUTO
            )
    return module


@pytest.fixture(scope="session")
def notebook() -> types.ModuleType:
    """The notebook's settings and definitions; nothing has been downloaded or
    trained."""
    return load_notebook("notebook")


@pytest.fixture(autouse=True)
def settings_as_shipped(notebook) -> Iterator[None]:
    """A test may change the notebook's settings; the next one finds them as they
    were."""
    before = {name: getattr(notebook, name) for name in notebook.Settings.model_fields}
    yield
    notebook.__dict__.update(before)


@pytest.fixture(scope="session")
def smollm2_folder(notebook) -> pathlib.Path:
    """The embedded model's folder, fetched and unpacked by the notebook's own
    function."""
    return notebook.unpack_embedded_model(
        pathlib.Path.home() / ".cache" / "math_education_assistant"
    )


@pytest.fixture(scope="session")
def sentencepiece_folder(tmp_path_factory) -> pathlib.Path:
    """A folder with a SentencePiece tokenizer of TinyLlama's kind: 32,000 pieces,
    `</s>`."""
    import mistral_common

    folder = tmp_path_factory.mktemp("sentencepiece")
    model = pathlib.Path(mistral_common.__file__).parent / "data" / "tokenizer.model.v1"
    (folder / "tokenizer.model").write_bytes(model.read_bytes())
    kind = {
        "tokenizer_class": "LlamaTokenizer",
        "legacy": False,
        "bos_token": "<s>",
        "eos_token": "</s>",
    }
    (folder / "tokenizer_config.json").write_text(
        json.dumps(kind | {"unk_token": "<unk>"})
    )
    return folder


@dataclass
class ExecutedNotebook:
    """The whole notebook after *Run all* with small settings, its kernel still
    alive."""

    notebook: nbformat.NotebookNode
    results: pathlib.Path
    url: str

    def text_of(self, cell: nbformat.NotebookNode) -> str:
        """Everything a cell printed or showed, as text."""
        shown = [
            output.get("text") or output.get("data", {}).get("text/plain", "")
            for output in cell.get("outputs", [])
        ]
        return "\n".join(shown)


@contextlib.contextmanager
def executed(results: pathlib.Path, **settings) -> Iterator[ExecutedNotebook]:
    """Execute the notebook with settings as papermill would, and keep its kernel for
    the length of the block."""
    from nbclient import NotebookClient
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    results.mkdir(parents=True, exist_ok=True)
    book = parameterize_notebook(
        load_notebook_node(str(NOTEBOOK)), dict(settings, RESULTS_DIR=str(results))
    )
    client = NotebookClient(
        book,
        timeout=1800,
        kernel_name="python3",
        resources={"metadata": {"path": str(results)}},
    )
    with client.setup_kernel():
        for index, cell in enumerate(book.cells):
            client.execute_cell(cell, index)
        run = ExecutedNotebook(book, results, url="")
        run.url = re.search(
            r"The chat runs at (http://\S+)", "\n".join(map(run.text_of, book.cells))
        )[1]
        yield run


@pytest.fixture(scope="session")
def executed_notebook(tmp_path_factory) -> Iterator[ExecutedNotebook]:
    """One run of the embedded preset with few pairs, shared by the tests of its files,
    its outputs and its chat."""
    small = dict(
        PRESET="embedded",
        DATASET_SIZE=80,
        EVAL_SAMPLES=6,
        FRESH_PER_TOPIC=1,
        MAX_NEW_TOKENS=96,
        SHARE_LINK=False,
    )
    with executed(tmp_path_factory.mktemp("run"), **small) as run:
        yield run

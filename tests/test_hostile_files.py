"""Files from elsewhere: they run no code and open nothing but themselves, whichever loader meets them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).resolve().parent.parent / "src").rglob("*.py"))
# Whole modules, and functions of others, that can turn data into code. `Image.open` guesses the format, see videos.images.
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "os.system", "os.popen", "np.load", "numpy.load", "torch.jit.load"}


def dangers(tree: ast.AST) -> Iterator[str]:
    """What in a module could run code that a file brings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.partition(".")[0] in FORBIDDEN_MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in FORBIDDEN_MODULES:
            yield node.module or ""
        elif isinstance(node, ast.Call):
            called, options = ast.unparse(node.func), {option.arg: ast.unparse(option.value) for option in node.keywords}
            loads = called == "torch.load" or called.endswith(("get_state_dict", "load_state_dict_from_url"))
            if called in FORBIDDEN_CALLS or "allow_pickle" in options:
                yield called
            if loads and options.get("weights_only") != "True":
                yield called
            if called == "YAML" and options.get("typ") not in ("'safe'", "'rt'"):
                yield called


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.relative_to(SOURCES[0].parent).as_posix())
def test_no_module_can_turn_data_into_code(source: Path) -> None:
    assert list(dangers(ast.parse(source.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "code",
    [
        *("import pickle", "from pickle import loads", "import yaml", "torch.load(p)", "torch.load(p, weights_only=False)"),
        *("np.load(p)", "np.savez(p, allow_pickle=True)", "eval(t)", "weights.get_state_dict(check_hash=True)", "YAML()"),
    ],
)
def test_the_search_finds_what_it_looks_for(code: str) -> None:
    assert len(list(dangers(ast.parse(code)))) == 1

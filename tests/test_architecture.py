"""What the source may not do: import upwards, wait for the device in a step, run text as code."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import sparring

SOURCE = Path(sparring.__file__).parent
ROOT = Path(__file__).parent.parent
FILES = sorted(SOURCE.rglob("*.py"))
HOT = [
    *(SOURCE / "training" / name for name in ("step.py", "judge.py", "ema.py", "layout.py")),
    *(SOURCE / name for name in ("losses.py", "schedules.py")),
    *sorted((SOURCE / "tricks").glob("*.py")),
    *sorted((SOURCE / "nets").glob("*.py")),
    *sorted((SOURCE / "games").glob("*.py")),
]


def name(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def test_the_import_contract_holds():
    linter = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    assert linter, "import-linter belongs to the test extras"
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_contract_names_every_module():
    """A new module that no layer names would be free to import anything."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = [c["layers"] for c in config["contracts"] if c["type"] == "layers"]
    named = {part.strip().removeprefix("sparring.") for row in layers for part in row.split("|")}
    there = {p.stem for p in SOURCE.glob("*.py")} | {p.parent.name for p in SOURCE.glob("*/*.py")}
    assert there - {"__init__"} == named


@pytest.mark.parametrize("path", HOT, ids=name)
def test_no_step_waits_for_the_device(path):
    """item, tolist, cpu, numpy, float() and print of a tensor all make the host wait."""
    bad, host = [], set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef) and "on the host" in (ast.get_docstring(node) or ""):
            host |= set(ast.walk(node))  # its numbers are the host's own
        if not isinstance(node, ast.Call) or node in host:
            continue
        f = node.func
        if isinstance(f, ast.Attribute) and f.attr in ("item", "cpu", "tolist", "numpy", "nonzero"):
            bad.append(f"{f.attr} at line {node.lineno}")
        if isinstance(f, ast.Name) and f.id in ("float", "print"):
            bad.append(f"{f.id} at line {node.lineno}")
    assert bad == []


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_text_becomes_code_and_no_pickle_is_read(path):
    modules = {m.split(".")[0] for m in imported(path)}
    assert not modules & {"pickle", "cloudpickle", "dill", "joblib", "torchvision", "marshal"}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            f = node.func
            called = f.id if isinstance(f, ast.Name) else ""
            assert called not in ("eval", "exec", "compile", "__import__"), node.lineno
            text = ast.unparse(f)
            if text in ("torch.load", "np.load", "numpy.load"):
                keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
                safe = ("weights_only", "True"), ("allow_pickle", "False")
                assert any(keywords.get(k) == v for k, v in safe), f"{text} at {node.lineno}"
            assert not text.startswith("yaml."), node.lineno


@pytest.mark.parametrize("path", FILES, ids=name)
def test_fabric_lives_in_one_file(path):
    knows = any(m.startswith(("lightning", "pytorch_lightning")) for m in imported(path))
    assert knows == (name(path) == "training/device.py")


@pytest.mark.parametrize("path", [SOURCE / "training" / "step.py"], ids=name)
def test_the_step_names_no_trick(path):
    from sparring import tricks

    parts = {n for n in tricks.__all__ if n not in ("State", "Trick", "View", "Weights", "slopes")}
    used = {n.id for n in ast.walk(tree(path)) if isinstance(n, ast.Name)}
    used |= {a.name for n in ast.walk(tree(path)) if isinstance(n, ast.ImportFrom) for a in n.names}
    assert not used & parts


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_are_concepts_named_by_a_noun(path):
    assert path.stem not in ("utils", "helpers", "base", "misc", "common", "core")
    assert path.name == "__init__.py" or ast.get_docstring(tree(path)) or path.stem == "__main__"


def test_a_bare_import_is_light():
    code = "import sys, sparring, sparring.parts, sparring.errors; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_torchvision_is_never_loaded():
    code = "import sys, sparring.presets, sparring.training; print('torchvision' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

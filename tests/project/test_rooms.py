"""The library's packages import one another in one direction, in the order of the architecture page."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "src" / "stronglens"


def imports() -> dict[str, set[str]]:
    """For each package of the library, those that it imports, inside functions too."""
    found: dict[str, set[str]] = {}
    for path in LIBRARY.glob("*/**/*.py"):
        package = path.relative_to(LIBRARY).parts[0]
        imported = found.setdefault(package, set())
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: a relative import"
                parts = str(node.module).split(".")
                if parts[0] == "stronglens":
                    imported |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return {package: others - {package} for package, others in found.items()}


def documented() -> list[str]:
    """The packages in the order of the architecture page's table."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    table = page.partition("| package | what it holds |")[2].partition("\n\n")[0]
    return re.findall(r"^\| `(\w+)/` \|", table, flags=re.MULTILINE)


def test_a_package_imports_only_those_above_it() -> None:
    order = documented()
    found = imports()
    assert set(found) == set(order)
    wrong = {
        package: sorted(name for name in others if order.index(name) > order.index(package))
        for package, others in found.items()
    }
    assert not {package: names for package, names in wrong.items() if names}


def test_every_package_says_what_it_is_for() -> None:
    for package in documented():
        assert ast.get_docstring(ast.parse((LIBRARY / package / "__init__.py").read_text())), package

"""How much of each package of the library the tests ran, from what `pytest --cov` measured.

Prints a table; ends with 1, and the lines that were not run, where a package is below `REQUIRED_PERCENT`.
"""

import io
import sys
from pathlib import Path

from coverage import Coverage

LIBRARY = Path(__file__).parents[2] / "src" / "stronglens"
REQUIRED_PERCENT = 85.0


def main(library: Path = LIBRARY, data_file: str = ".coverage") -> int:
    measured = Coverage(data_file=data_file, source=[str(library)])
    measured.load()
    failed = False
    for package in sorted(init.parent for init in library.glob("*/__init__.py")):
        table = io.StringIO()
        percent = measured.report(
            include=[f"{package}/*"], show_missing=True, skip_covered=True, precision=1, file=table
        )
        sys.stdout.write(f"{package.name:<14}{percent:6.1f} %\n")
        if percent < REQUIRED_PERCENT:
            failed = True
            sys.stdout.write(f"expected at least {REQUIRED_PERCENT:g} %; not run:\n{table.getvalue()}\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

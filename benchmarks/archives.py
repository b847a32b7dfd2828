"""Packing FITS files out of archives where they are, against unpacking them into a folder first."""

import gzip
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import harness
from harness import Way
from made_data import write_fits

from stronglens.packing.pack import build_buckets
from stronglens.settings.data import PackSettings


def main(argv: Sequence[str] | None = None) -> int:
    options = harness.options_of(__doc__, argv)
    n_objects = options.pick(tiny=4, short=2000, full=20_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        n_files = len(write_fits(folder / "files", n_objects))
        archives = write_archives(folder)

        def pack(source: Path) -> None:
            build_buckets(PackSettings(path=str(source)), folder / "packed")

        def unpack_and_pack(archive: Path) -> None:
            unpacked = folder / "unpacked"
            is_zip = archive.suffix == ".zip"
            command = ["unzip", "-q", str(archive), "-d"] if is_zip else ["tar", "-xf", str(archive), "-C"]
            unpacked.mkdir()
            subprocess.run([*command, str(unpacked)], check=True)
            pack(unpacked)
            shutil.rmtree(unpacked)

        ways = [Way("folder", lambda: pack(folder / "files"), n_files)]
        for archive in archives:
            ways.append(Way(f"{archive.name}, in place", partial(pack, archive), n_files))
            if archive.suffix != ".zip" or shutil.which("unzip"):
                ways.append(
                    Way(f"{archive.name}, unpacked first", partial(unpack_and_pack, archive), n_files)
                )
        result = harness.race(ways, options.n_rounds, clock=processor_seconds)
    harness.print_title(
        "Archives: FITS files in tar and zip, by the processor's time", options, ["numpy", "pyarrow"]
    )
    harness.print_race(result, "files")
    for archive in archives:
        if any(way.name == f"{archive.name}, unpacked first" for way in ways):
            ratio = result.ratio(f"{archive.name}, in place", f"{archive.name}, unpacked first")
            harness.print_goal(
                f"{archive.name}: faster than unpacking first", f"{ratio:.2f} x", met=ratio > 1
            )
    ratio = result.ratio("set.tar, in place", "folder")
    harness.print_goal(
        "set.tar: at least 0.8 x a folder of the same files", f"{ratio:.2f} x", met=ratio >= 0.8
    )
    return 0


def write_archives(folder: Path) -> list[Path]:
    """Write archives of the folder `files`."""
    files = sorted((folder / "files").iterdir())
    tar, packed, zipped = folder / "set.tar", folder / "set.tar.gz", folder / "set.zip"
    with tarfile.open(tar, "w") as archive:
        for path in files:
            archive.add(path, path.name)
    with gzip.open(packed, "wb", compresslevel=1) as target, tar.open("rb") as source:
        shutil.copyfileobj(source, target, 2**22)
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in files:
            archive.write(path, path.name)
    return [tar, packed, zipped]


def processor_seconds() -> float:
    """Seconds that processors worked for this process and for those that it ran.

    To the microsecond: `os.times` counts in hundredths of a second, in which a small archive may take none.
    """
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    sys.exit(main())

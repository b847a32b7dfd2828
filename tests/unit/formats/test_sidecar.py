"""JSON files that steps leave: what is written is read; what is newer, damaged or of another kind is not."""

import json
import re
from pathlib import Path

import pytest

from sidecar_examples import EXAMPLES, put
from stronglens.formats.packed import PackSummary
from stronglens.formats.score_files import Metrics
from stronglens.formats.sidecar import Sidecar
from stronglens.formats.split_table import SplitDescription
from stronglens.running.errors import InputError


def subclasses(kind: type[Sidecar]) -> set[type[Sidecar]]:
    return {one for child in kind.__subclasses__() for one in {child, *subclasses(child)}}


def test_every_kind_has_an_example() -> None:
    ours = {kind for kind in subclasses(Sidecar) if not kind.__name__.startswith("_")}
    assert ours == set(EXAMPLES)


@pytest.fixture(params=EXAMPLES, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> type[Sidecar]:
    chosen: type[Sidecar] = request.param
    return chosen


def number_of(kind: type[Sidecar]) -> dict[str, int]:
    return {"format": kind.FORMAT} if kind.NUMBERED else {}


def test_what_is_written_is_read_and_holds_its_format(kind: type[Sidecar], tmp_path: Path) -> None:
    made = kind.model_validate(EXAMPLES[kind])
    made.write(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == EXAMPLES[kind] | number_of(kind)
    read = kind.read(tmp_path / "a.json")
    assert read == made
    read.write(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_file_without_a_number_is_of_the_first_format(kind: type[Sidecar], tmp_path: Path) -> None:
    path = put(tmp_path / "a.json", EXAMPLES[kind])
    if kind.OLDEST == 1:
        assert kind.read(path) == kind.model_validate(EXAMPLES[kind])
    else:
        with pytest.raises(InputError, match=f"expected {kind.KIND} of format {kind.FORMAT}, found format 1"):
            kind.read(path)


def test_a_newer_format_is_refused(kind: type[Sidecar], tmp_path: Path) -> None:
    newer = kind.FORMAT + 1
    path = put(tmp_path / "a.json", EXAMPLES[kind] | {"format": newer, "a_key_of_later": 1})
    with pytest.raises(InputError) as caught:
        kind.read(path)
    assert str(caught.value) == (
        f"{path}: format {newer} is newer than this version reads ({kind.FORMAT}); update stronglens"
    )


@pytest.mark.parametrize("number", [0, "1", None, True, 1.5])
def test_what_is_no_number_of_a_format_is_refused(
    kind: type[Sidecar], tmp_path: Path, number: object
) -> None:
    path = put(tmp_path / "a.json", EXAMPLES[kind] | {"format": number})
    with pytest.raises(InputError) as caught:
        kind.read(path)
    assert str(caught.value).startswith(f"{path}: expected {kind.KIND} of format {kind.FORMAT}, found format")


def test_a_damaged_file_is_refused(kind: type[Sidecar], tmp_path: Path) -> None:
    good = EXAMPLES[kind] | {"format": kind.FORMAT}
    required = [field.alias or name for name, field in kind.model_fields.items() if field.is_required()]
    assert required
    for name in required:
        path = put(tmp_path / "a.json", {key: value for key, value in good.items() if key != name})
        with pytest.raises(InputError) as caught:
            kind.read(path)
        assert str(caught.value) == f"{path}: expected {kind.KIND}, found no {name}; run the step again"
        path = put(tmp_path / "a.json", good | {name: [None]})
        with pytest.raises(InputError) as caught:
            kind.read(path)
        assert str(caught.value).startswith(f"{path}: expected {kind.KIND}, found {name}")
    path = put(tmp_path / "a.json", good | {"another": 1})
    with pytest.raises(InputError, match=f"expected {kind.KIND}, found (the unknown key )?another"):
        kind.read(path)
    path.write_text(json.dumps(good)[:-5])
    with pytest.raises(InputError, match="expected JSON, found something else"):
        kind.read(path)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(PackSummary, "cutouts.npy"), (PackSummary, "index.parquet"), (SplitDescription, "objects.parquet")],
)
def test_what_describes_files_names_them(kind: type[Sidecar], name: str, tmp_path: Path) -> None:
    others = {one: digest for one, digest in EXAMPLES[kind]["sha256"].items() if one != name}
    path = put(tmp_path / "a.json", EXAMPLES[kind] | {"sha256": others})
    with pytest.raises(InputError, match=f"expected the sha256 of {re.escape(name)}, found none"):
        kind.read(path)


def test_what_is_no_number_is_refused_and_not_written_as_null(tmp_path: Path) -> None:
    values = EXAMPLES[Metrics]["global"] | {"f1": float("nan")}
    with pytest.raises(ValueError, match="not JSON compliant"):
        Metrics.model_validate({"global": values}).write(tmp_path / "a.json")
    assert not list(tmp_path.iterdir())

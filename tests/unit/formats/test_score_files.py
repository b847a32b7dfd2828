"""Files of metrics and errors: what is measured of all, and of each domain."""

from pathlib import Path

import pytest

from sidecar_examples import EXAMPLES, put
from stronglens.formats.score_files import FieldMetrics, LensErrors, Metrics, read_errors
from stronglens.formats.sidecar import Sidecar
from stronglens.running.errors import InputError


def test_one_file_alone_has_no_number() -> None:
    assert [kind for kind in EXAMPLES if not kind.NUMBERED] == [Metrics]


@pytest.mark.parametrize(
    ("kind", "key"), [(Metrics, "roc_auc"), (FieldMetrics, "intervals"), (FieldMetrics, "n_others")]
)
@pytest.mark.parametrize("block", ["global", "domain::hsc"])
def test_metrics_of_all_and_of_each_domain_hold_what_is_read(
    kind: type[Sidecar], key: str, block: str, tmp_path: Path
) -> None:
    values = {name: value for name, value in EXAMPLES[kind][block].items() if name != key}
    path = put(tmp_path / "a.json", EXAMPLES[kind] | {block: values})
    with pytest.raises(InputError, match=f"expected {kind.KIND}, found {block} .*found no {key}"):
        kind.read(path)


def test_errors_of_parameters_that_are_asked_for_are_there(tmp_path: Path) -> None:
    path = put(tmp_path / "a.json", EXAMPLES[LensErrors])
    assert read_errors(path, ["Rein"]) == EXAMPLES[LensErrors]["global"]
    with pytest.raises(InputError, match="expected errors of Rein, sh; found none of sh"):
        read_errors(path, ["Rein", "sh"])


@pytest.mark.parametrize("kind", [Metrics, FieldMetrics, LensErrors])
def test_blocks_are_those_of_all_and_of_domains(kind: type[Metrics | FieldMetrics | LensErrors]) -> None:
    example = EXAMPLES[kind]
    read = kind.model_validate(example)
    expected = {key: example[key] for key in ("global", "domain::hsc")}
    assert {key: dict(block) for key, block in read.blocks.items()} == expected
    assert list(read.blocks) == ["global", "domain::hsc"]


@pytest.mark.parametrize("kind", [Metrics, FieldMetrics, LensErrors])
def test_what_is_neither_of_all_nor_of_a_domain_is_refused(
    kind: type[Metrics | FieldMetrics | LensErrors], tmp_path: Path
) -> None:
    path = put(tmp_path / "a.json", EXAMPLES[kind] | {"hsc": EXAMPLES[kind]["domain::hsc"]})
    with pytest.raises(InputError, match="hsc"):
        kind.read(path)

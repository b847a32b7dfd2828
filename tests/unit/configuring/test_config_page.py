"""The description of the config, made of its classes."""

from pathlib import Path

from document_config import main as document_config
from small_configs import CONFIG_FOLDER
from stronglens.configuring.config import Config
from stronglens.configuring.config_page import config_page, config_schema


def test_the_description_is_in_step_with_the_classes() -> None:
    """If this fails: python workflow/scripts/document_config.py."""
    assert (CONFIG_FOLDER / "README.md").read_text() == config_page()
    assert (CONFIG_FOLDER / "schema.json").read_text() == config_schema()


def test_the_description_is_written_by_its_command(tmp_path: Path) -> None:
    assert document_config(["--out-dir", str(tmp_path)]) == 0
    assert (tmp_path / "README.md").read_text() == config_page()
    assert (tmp_path / "schema.json").read_text() == config_schema()


def test_every_key_is_described() -> None:
    page = config_page()
    schema = Config.model_json_schema()
    for block in (schema, *schema["$defs"].values()):
        for key, value in block.get("properties", {}).items():
            assert value.get("description"), f"{block['title']}.{key}: a docstring is missing"
            assert f"| `{key}` |" in page
    row = next(line for line in page.splitlines() if line.startswith("| `drop_path` |"))
    assert row.startswith("| `drop_path` | number |  | ≥ 0, < 1 | `0.0` | Chance that")


def test_pixels_have_a_unit() -> None:
    rows = [line for line in config_page().splitlines() if "_px` |" in line]
    assert len(rows) >= 6
    assert all(row.split("|")[3].strip() == "pixels" for row in rows)

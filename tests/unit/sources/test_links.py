"""Links, followed as the operating system does."""

import os
from pathlib import Path

from stronglens.sources.links import Followed, LinkFollower


def test_the_end_is_that_of_the_system_and_the_name_the_last_of_its_kind(tmp_path: Path) -> None:
    root = Path(os.path.realpath(tmp_path))
    (root / "store").mkdir()
    (root / "store/5f3a").write_text("content")
    (root / "by_name").mkdir()
    (root / "by_name/a.fits").symlink_to("../store/5f3a")
    (root / "set").symlink_to(root / "by_name")
    (root / "a.fits").symlink_to("set/a.fits")
    found = LinkFollower().follow(str(root / "a.fits"))
    assert found == Followed(str(root / "by_name/a.fits"), str(root / "store/5f3a"))
    assert found.real == os.path.realpath(root / "a.fits")


def test_what_is_no_link_leads_to_itself(tmp_path: Path) -> None:
    root = os.path.realpath(tmp_path)
    (tmp_path / "a").touch()
    for name in ("a", "none"):
        assert LinkFollower().follow(f"{root}/{name}") == Followed(f"{root}/{name}", f"{root}/{name}")


def test_broken_links_and_loops_come_to_an_end(tmp_path: Path) -> None:
    root = Path(os.path.realpath(tmp_path))
    (root / "broken").symlink_to("gone")
    assert LinkFollower().follow(str(root / "broken")).real == str(root / "gone")
    (root / "one").symlink_to("other")
    (root / "other").symlink_to("one")
    assert LinkFollower().follow(str(root / "one")).real in (str(root / "one"), str(root / "other"))

"""The page's files: small, and with nothing in them that its policy forbids."""

import re
from pathlib import Path

import vidya.serving

FOLDER = Path(vidya.serving.__file__).parent / "page"


def test_the_page_is_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 60_000


def test_nothing_is_inline_and_nothing_from_elsewhere():
    html = (FOLDER / "index.html").read_text("utf-8")
    assert not re.search(r"<style|\bstyle=|\bon[a-z]+=|javascript:|<script(?![^>]*src=)", html)
    for path in FOLDER.iterdir():
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|innerHTML|\beval\(|@import", text), path.name


def test_every_file_that_is_named_is_there():
    html = (FOLDER / "index.html").read_text("utf-8")
    for name in re.findall(r'(?:src|href)="/page/([^"]+)"', html):
        assert (FOLDER / name).is_file()
    for path in FOLDER.glob("*.js"):
        for name in re.findall(r'from "\./([^"]+)"', path.read_text("utf-8")):
            assert (FOLDER / name).is_file()


def test_every_element_that_a_script_asks_for_is_in_the_page():
    ids = set(re.findall(r'\bid="([^"]+)"', (FOLDER / "index.html").read_text("utf-8")))
    for path in FOLDER.glob("*.js"):
        assert set(re.findall(r'byId\("([^"]+)"\)', path.read_text("utf-8"))) <= ids, path.name

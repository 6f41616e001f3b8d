"""Templates of HTML pages: values are escaped, and a forgotten one is an error."""

from pathlib import Path

import jinja2
import pytest

from multiemo.pages import page_template


def test_values_are_escaped_and_includes_are_found_beside_the_template(tmp_path: Path) -> None:
    (tmp_path / "style.html").write_text("<style></style>")
    (tmp_path / "page.html").write_text("{% include 'style.html' %}<p>{{ words }}</p>")
    page = page_template(tmp_path / "page.html").render(words="<script>")
    assert page == "<style></style><p>&lt;script&gt;</p>"


def test_a_value_that_is_not_given_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("{{ words }}")
    with pytest.raises(jinja2.UndefinedError, match="words"):
        page_template(tmp_path / "page.html").render()

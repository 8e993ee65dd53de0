"""The documents, as the home page shows them."""

import re
from pathlib import Path

import pytest

from authserver.dev import documents
from authserver.dev.documents import as_html
from tests.dev.conftest import Development
from tests.factories import assert_error


def test_every_document_is_there_and_its_links_lead_to_one_another(development: Development) -> None:
    shown = {}
    for name in documents.documents():
        page = development.client.get(f"/dev/docs/{name}", base_url=development.url)
        assert (page.status_code, page.mimetype) == (200, "text/html"), name
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
        shown[name] = page.text
    assert {"index.md", "README.md", "CONTRIBUTING.md", "settings.md", "CHANGELOG.md"} <= shown.keys()
    home = development.client.get("/", base_url=development.url).text
    for name, text in (*shown.items(), ("", home)):
        for target, _, heading in re.findall(r'href="/dev/docs/([^"#]*)(#([^"]*))?"', text):
            assert target in shown, (name, target)
            assert not heading or f' id="{heading}"' in shown[target], (name, target, heading)
        for heading in re.findall(r'href="#([^"]*)"', text):
            assert f' id="{heading}"' in text, (name, heading)


def test_what_is_no_document_is_not_there(development: Development) -> None:
    for path in ("conf.py", "home.png", "..%2fsetup.cfg", "examples", "nothing.md", "LICENSE"):
        assert_error(development.client.get(f"/dev/docs/{path}", base_url=development.url), 404, "not_found")


def test_without_a_checkout_the_home_page_names_no_document(
    development: Development, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(documents, "CHECKOUT", tmp_path)
    assert "/dev/docs/" not in development.client.get("/", base_url=development.url).text
    assert_error(development.client.get("/dev/docs/index.md", base_url=development.url), 404, "not_found")


MARKDOWN = """# A `title`, & more

One **strong** and *soft* `**word**` of <https://example.com/a?b&c> and <b>, ![a picture](a.png)
- [`one`](../README.md#two)
- [two](providers.md), [three](#a-title--more), [four](../providers/github.py), [five](javascript:alert(1))

```sh
curl '*a* <b>' # [x](y.md)
```
| a | b |
| --- | --- |
| `x \\| y` | <!-- |
<!-- made -->
1. first
"""
HTML = """<h1 id="a-title--more">A <code>title</code>, &amp; more</h1>
<p>One <strong>strong</strong> and <em>soft</em> <code>**word**</code> of \
<a href="https://example.com/a?b&amp;c" target="_blank" rel="noreferrer">https://example.com/a?b&amp;c</a> \
and &lt;b&gt;, </p>
<ul><li><a href="/dev/docs/README.md#two"><code>one</code></a></li>\
<li><a href="/dev/docs/providers.md">two</a>, <a href="#a-title--more">three</a>, four, five)</li></ul>
<pre tabindex="0">curl &#39;*a* &lt;b&gt;&#39; # [x](y.md)</pre>
<table><tr><th>a</th><th>b</th></tr><tr><td><code>x | y</code></td><td>&lt;!--</td></tr></table>
<ol><li>first</li></ol>"""


def test_markdown_becomes_what_it_says_and_nothing_of_it_is_html() -> None:
    assert as_html(MARKDOWN) == HTML

"""What the site is made of besides docs/: its navigation, and the pages that lie elsewhere in the repository.

docs/README.md is both the index on a code host and the home of the site: each of its `##` headings is a section of the
navigation, and each link that begins an item of a list or a row of a table is a page of it. A page that it does not
name fails the build.

A link from a page to a file or a folder outside of docs/ works on a code host. Here it becomes a page too, so that it
works on the site: Markdown as it is, anything else as blocks of code.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
INDEX = "docs/README.md"
# Where a page of the repository lies on the site, if not under `source/`.
PLACES = {
    "README.md": "overview.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "LICENSE": "licence.md",
    "benchmarks/README.md": "benchmarks.md",
    "examples/README.md": "examples.md",
}
SHOWN = {".ini", ".json", ".md", ".py", ".rs", ".sh", ".sql", ".toml", ".txt", ".yaml", ".yml"}
FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")
ENTRY = re.compile(r"^(?:[-*]|\d+\.|\|) \[([^]]+)\]\(([^)#\s]+)\)", re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Take the navigation from the index."""
    home, *sections = re.split(r"^## ", (ROOT / INDEX).read_text(), flags=re.MULTILINE)
    if ENTRY.search(home):
        raise PluginError(f"{INDEX} names a page before its first section, where the navigation has no place for it")
    config.nav = [{"Home": "README.md"}]
    for section in sections:
        title, _, body = section.partition("\n")
        pages = [{name.replace("`", ""): place(resolve(target, INDEX))} for name, target in ENTRY.findall(body)]
        if pages:
            config.nav.append({title.strip(): pages})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file outside of docs/ that a page names, and for those that these name."""
    waiting = [f"docs/{file.src_uri}" for file in files.documentation_pages()]
    seen = set(waiting)
    while waiting:
        path = waiting.pop()
        if not path.startswith("docs/"):
            files.append(File.generated(config, place(path), content=shown(path)))
        named = {resolve(link, path) for link in links(path)} if path.endswith(".md") else set()
        new = {file for file in named - seen if (ROOT / file).exists() and not file.startswith("docs/")}
        waiting += new
        seen |= new
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs names them
    """Turn the links of the repository into those of the site."""
    here = page.file.src_uri
    path = next((path for path in PLACES if PLACES[path] == here), None) or origin(here)

    def on_site(link: re.Match[str]) -> str:
        named = resolve(link[1], path)
        return posixpath.relpath(place(named), posixpath.dirname(here) or ".") if (ROOT / named).exists() else link[1]

    parts = FENCED.split(markdown)
    parts[::2] = [LINK.sub(on_site, part) for part in parts[::2]]
    return "".join(parts)


def place(path: str) -> str:
    """Where a file of the repository lies among the sources of the site."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return PLACES.get(path) or f"source/{path}" + ("" if path.endswith(".md") else ".md")


def origin(uri: str) -> str:
    """The file of the repository that a page of the site was made from, where `PLACES` does not have it."""
    return uri.removeprefix("source/") if uri.startswith("source/") else f"docs/{uri}"


def resolve(link: str, path: str) -> str:
    """The file of the repository that a link in another names; of a folder with a README, that."""
    named = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
    readme = posixpath.join(named, "README.md")
    return readme if (ROOT / readme).is_file() else named


def links(path: str) -> list[str]:
    """What a page links to within the repository."""
    return [link for part in FENCED.split((ROOT / path).read_text())[::2] for link in LINK.findall(part)]


def shown(path: str) -> str:
    """What a file outside of docs/ is on the site."""
    if path.endswith(".md"):
        return (ROOT / path).read_text()
    inside = [path] if (ROOT / path).is_file() else sorted(_in_folder(path))
    parts = [f'````{Path(file).suffix[1:]} title="{file}"\n{(ROOT / file).read_text()}````\n' for file in inside]
    return "\n".join(["---\nsearch:\n  exclude: true\n---\n", f"# `{path}`\n", *parts])


def _in_folder(path: str) -> list[str]:
    """The files of a folder that somebody wrote."""
    return [str(file.relative_to(ROOT)) for file in (ROOT / path).rglob("*") if file.suffix in SHOWN]

"""Ask a folder of Markdown pages a question: semantic search with nothing but the OpenAI SDK."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from openai import OpenAI

_HEADING = re.compile(r"^#{1,6} +(.+?)[ #]*$")
_FENCE = re.compile(r"^\s*(```|~~~)")


class Section(NamedTuple):
    page: str
    heading: str
    text: str


class Index:
    """Vectors of every section of a folder's pages; they have length one, so their product is their cosine."""

    def __init__(self, client: OpenAI, model: str, folder: Path) -> None:
        self._client, self._model = client, model
        self._sections = list(sections(folder))
        self._vectors = self._embed([f"{section.heading}\n{section.text}" for section in self._sections])

    def search(self, question: str, count: int = 3) -> list[tuple[float, str, str]]:
        """Return score, page and heading of the sections that answer the question best, best first."""
        (wanted,) = self._embed([question])
        scores = [sum(a * b for a, b in zip(wanted, vector, strict=True)) for vector in self._vectors]
        found = [(score, one.page, one.heading) for score, one in zip(scores, self._sections, strict=True)]
        best = {(page, heading): score for score, page, heading in sorted(found)}
        return sorted(((score, *place) for place, score in best.items()), reverse=True)[:count]

    def _embed(self, texts: list[str]) -> list[list[float]]:
        return [item.embedding for item in self._client.embeddings.create(model=self._model, input=texts).data]


def sections(folder: Path) -> Iterator[Section]:
    """Yield the paragraphs of every Markdown page below a folder under page title and heading."""
    for path in sorted(folder.rglob("*.md")):
        page = path.relative_to(folder).as_posix()
        title, heading, lines, fenced = "", page, list[str](), False
        for line in path.read_text(encoding="utf-8").splitlines():
            fenced ^= bool(_FENCE.match(line))
            found = None if fenced else _HEADING.match(line)
            if not found:
                lines.append(line)
                continue
            yield from _section(page, heading, lines)
            title = title or found[1]
            heading, lines = found[1] if found[1] == title else f"{title}: {found[1]}", []
        yield from _section(page, heading, lines)


def _section(page: str, heading: str, lines: list[str]) -> Iterator[Section]:
    # One vector for each paragraph: small models read only the first few hundred tokens of a text.
    yield from (Section(page, heading, text) for text in re.split(r"\n\s*\n", "\n".join(lines)) if text.strip())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="an embedding model: a name on the hub, or a folder")
    parser.add_argument("folder", type=Path, help="a folder of Markdown pages")
    parser.add_argument("questions", nargs="+")
    options = parser.parse_args()
    client = OpenAI(base_url="http://127.0.0.1:11540/v1", api_key="none")
    index = Index(client, options.model, options.folder)
    for question in options.questions:
        print(question)
        for score, page, heading in index.search(question):
            print(f"  {score:.2f}  {page}  {heading}")


if __name__ == "__main__":
    main()

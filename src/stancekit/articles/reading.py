"""Articles from a file or a folder, one at a time, each with an id of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from stancekit.articles.formats import READERS, RawArticle
from stancekit.articles.model import Article
from stancekit.errors import UserError, nearest

EXTENSIONS = tuple(READERS)


def read_articles(path: str | Path) -> Iterator[Article]:
    """Return an iterator over the articles of a file, or of a folder and its subfolders in the order of their names.

    Hidden files, READMEs and files of other kinds in a folder are skipped. The id of an article is the ``id`` of its
    row, or ``<file>#<row number>``, or the file's path in the folder without its suffix (with it where two files would
    share the id). Text stays as it came, but for a byte order mark; what a web page's text is, trafilatura says. Title,
    date, source and URL come from the row, the web page or the front matter of a text file.

    Raises UserError at once for a path that does not exist or holds no article, and while iterating for a file that
    cannot be read as its kind or an id that comes twice.
    """
    root = Path(path)
    files = article_files(root)
    if root.is_dir():
        return _articles(files, _file_ids([file.relative_to(root) for file in files]))
    return _articles(files, [root.stem])


def article_files(root: Path) -> list[Path]:
    """Return the files that ``read_articles`` reads, in its order.

    Raises:
        UserError: there is none.
    """
    if root.is_dir():
        return _files_in(root)
    if not root.exists():
        raise UserError(_missing(root))
    if root.suffix.lower() not in READERS:
        raise UserError(
            f"{root}: cannot read articles from '{root.suffix or root.name}' files; expected one of: "
            f"{', '.join(EXTENSIONS)}{nearest(root.suffix.lower(), EXTENSIONS)}"
        )
    return [root]


def _articles(files: list[Path], file_ids: list[str]) -> Iterator[Article]:
    seen: dict[str, str] = {}
    for file, file_id in zip(files, file_ids, strict=True):
        for row in READERS[file.suffix.lower()](file):
            article = _article(row, file, file_id)
            if article.id in seen:
                raise UserError(
                    f"{row.where}: the id '{article.id}' is already that of {seen[article.id]}; "
                    f"expected a different id for each article"
                )
            seen[article.id] = row.where
            yield article


def _article(row: RawArticle, file: Path, file_id: str) -> Article:
    own_id = file_id if row.number is None else f"{file_id}#{row.number}"
    return Article(
        id=row.id or own_id,
        text=row.text,
        title=row.title,
        date=row.date,
        source=row.source,
        url=row.url,
        path=str(file),
    )


def _files_in(root: Path) -> list[Path]:
    found = sorted(
        (file for file in root.rglob("*") if _is_article_file(file, root)),
        key=lambda file: file.relative_to(root).as_posix(),
    )
    if not found:
        raise UserError(f"{root} holds no article; expected at least one file of: {', '.join(EXTENSIONS)}")
    return found


def _is_article_file(file: Path, root: Path) -> bool:
    inside = file.relative_to(root)
    hidden = any(part.startswith(".") for part in inside.parts)
    return not hidden and file.suffix.lower() in READERS and file.stem.lower() != "readme" and file.is_file()


def _file_ids(files: list[Path]) -> list[str]:
    short = [file.with_suffix("").as_posix() for file in files]
    count = Counter(short)
    return [file.as_posix() if count[name] > 1 else name for file, name in zip(files, short, strict=True)]


def _missing(path: Path) -> str:
    parent = path.parent
    if not parent.is_dir():
        return f"{path} does not exist, nor does the folder {parent}; expected a file or a folder of articles"
    siblings = [sibling.name for sibling in parent.iterdir() if not sibling.name.startswith(".")]
    return f"{path} does not exist; expected a file or a folder of articles{nearest(path.name, siblings)}"

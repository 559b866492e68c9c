from __future__ import annotations

import datetime
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stancekit.articles import Article, read_articles
from stancekit.errors import UserError

SEEDS = Path(__file__).parents[2] / "seeds"


def ids(path: Path) -> list[str]:
    return [article.id for article in read_articles(path)]


def message(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        list(read_articles(path))
    return str(caught.value)


def write_jsonl(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_when_the_folder_is_the_seeds_then_five_articles_come_in_order_with_their_exact_text() -> None:
    articles = list(read_articles(SEEDS))
    files = sorted(SEEDS.glob("*.txt"))
    assert [article.id for article in articles] == [file.stem for file in files]
    assert [article.text.encode() for article in articles] == [file.read_bytes() for file in files]
    assert articles[0].path == str(files[0])


def test_when_lines_end_in_carriage_returns_then_they_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"One.\r\nTwo.\rThree.\n\n")
    assert next(iter(read_articles(file))).text == "One.\r\nTwo.\rThree.\n\n"


def test_when_a_file_begins_with_a_byte_order_mark_then_the_text_does_not(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"\xef\xbb\xbfNo.")
    assert list(read_articles(str(file))) == [Article(id="a", text="No.", path=str(file))]


def test_when_a_folder_is_nested_then_ids_are_relative_paths_and_other_files_are_skipped(tmp_path: Path) -> None:
    for name in ("b.txt", "sub/a.md", "README.md", ".hidden.txt", ".git/x.txt", "table.csv", "UPPER.TXT"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("No troops.")
    assert ids(tmp_path) == ["UPPER", "b", "sub/a"]


def test_when_two_files_differ_in_suffix_alone_then_both_ids_keep_it(tmp_path: Path) -> None:
    for name in ("a.txt", "a.md", "b.txt"):
        (tmp_path / name).write_text("No troops.")
    assert ids(tmp_path) == ["a.md", "a.txt", "b"]


def test_when_the_file_is_jsonl_then_columns_and_line_numbers_make_the_articles(tmp_path: Path) -> None:
    file = tmp_path / "wire.jsonl"
    file.write_text(
        '{"text": "No.", "id": 7, "title": "T", "date": "2025-02-14", "source": "S", "url": "u", "other": [1]}\n'
        "\n"
        '{"text": "Yes.", "title": null}\n',
        encoding="utf-8",
    )
    first, second = read_articles(file)
    assert first == Article("7", "No.", "T", "2025-02-14", "S", "u", str(file))
    assert second == Article("wire#3", "Yes.", path=str(file))


def test_when_jsonl_text_holds_a_line_separator_then_the_row_is_not_cut(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "One\u2028Two\x85Three"}\n', encoding="utf-8")
    assert [article.text for article in read_articles(file)] == ["One\u2028Two\x85Three"]


def test_when_the_file_is_parquet_then_rows_and_dates_make_the_articles(tmp_path: Path) -> None:
    file = tmp_path / "wire.parquet"
    pq.write_table(
        pa.table({"text": ["No.", "Yes."], "date": [datetime.date(2025, 2, 14), None], "id": ["x", None]}), file
    )
    assert list(read_articles(file)) == [
        Article("x", "No.", date="2025-02-14", path=str(file)),
        Article("wire#2", "Yes.", path=str(file)),
    ]


def test_when_the_file_is_html_then_the_article_comes_without_navigation(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    sentence = "Defense Secretary Pete Hegseth said on Friday that no troops would be sent to Ukraine. "
    file.write_text(
        "<html><head><title>Hegseth rules it out</title></head><body><nav><a href='/'>Home</a></nav><article>"
        f"<h1>Hegseth rules it out</h1><p>{sentence * 4}</p><p>{sentence * 3}</p></article></body></html>",
        encoding="utf-8",
    )
    (article,) = read_articles(file)
    assert sentence.strip() in article.text
    assert "Home" not in article.text
    assert article.title == "Hegseth rules it out"


def test_when_a_page_names_its_origin_then_the_fields_have_it_and_the_text_has_content_only(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    sentence = "Defense Secretary Pete Hegseth said on Friday that no troops would be sent to Ukraine. "
    file.write_text(
        "<html><head><title>Hegseth rules it out</title>"
        "<meta property='og:site_name' content='The Daily Example'><meta name='author' content='Jane Doe'>"
        "<meta property='article:published_time' content='2025-02-14T10:00:00Z'>"
        "<link rel='canonical' href='https://example.org/a'></head><body><article>"
        f"<h1>Hegseth rules it out</h1><p>{sentence * 4}</p><p>{sentence * 3}</p></article></body></html>",
        encoding="utf-8",
    )
    assert list(read_articles(file)) == [
        Article(
            "page",
            f"Hegseth rules it out\n{(sentence * 4).strip()}\n{(sentence * 3).strip()}",
            title="Hegseth rules it out",
            date="2025-02-14",
            source="The Daily Example",
            url="https://example.org/a",
            path=str(file),
        )
    ]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_when_markdown_has_front_matter_then_the_fields_have_it_and_the_text_stays(
    tmp_path: Path, newline: str
) -> None:
    lines = ["---", "Title: Kyiv: no deal", "tags:", "  - war", "date: 2025-02-14", 'source: "The \\"Example\\""']
    text = newline.join([*lines, "url: >-", "  https://example.org/a", "draft:", "---", "", "No troops."])
    file = tmp_path / "a.md"
    file.write_bytes(text.encode())
    assert list(read_articles(file)) == [
        Article("a", text, "Kyiv: no deal", "2025-02-14", 'The "Example"', "https://example.org/a", str(file))
    ]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("title: A\n\nNo troops.", None),
        ("---\ntitle: A\n\nNo troops.", None),
        ("No troops.\n---\ntitle: A\n---\n", None),
        ("---\ntitle:\n---\nNo.", None),
        ("---\ntitle: [A, B]\n---\nNo.", None),
        ("---\ntitle: *A\n---\nNo.", "*A"),
        ("---\ntitle:A\n---\nNo.", "A"),
        (f"---\ntitle: {'[' * 3000}\n---\nNo.", "[" * 3000),
    ],
)
def test_when_front_matter_is_odd_then_only_what_it_names_as_text_is_the_title(
    tmp_path: Path, text: str, title: str | None
) -> None:
    file = tmp_path / "a.md"
    file.write_text(text)
    assert list(read_articles(file)) == [Article("a", text, title, path=str(file))]


def test_when_a_page_has_no_article_then_the_message_names_it(tmp_path: Path) -> None:
    file = tmp_path / "page.htm"
    file.write_text("<html><body></body></html>")
    assert message(file) == f"{file}: found no article text in this page; expected an article, or its text as .txt"


def test_when_trafilatura_is_missing_then_the_message_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "page.html"
    file.write_text("<p>No.</p>")
    monkeypatch.setitem(__import__("sys").modules, "trafilatura", None)
    assert message(file).startswith(f"{file}: reading HTML needs trafilatura (")
    assert message(file).endswith("install it with: pip install 'stancekit[html]'")


def test_when_the_path_is_missing_then_the_nearest_sibling_is_named_before_any_iteration(tmp_path: Path) -> None:
    (tmp_path / "articles").mkdir()
    with pytest.raises(UserError) as caught:
        read_articles(tmp_path / "artcles")
    assert str(caught.value) == (
        f"{tmp_path / 'artcles'} does not exist; expected a file or a folder of articles; did you mean 'articles'?"
    )


def test_when_the_parent_folder_is_missing_too_then_the_message_names_it(tmp_path: Path) -> None:
    file = tmp_path / "no" / "a.txt"
    assert message(file) == (
        f"{file} does not exist, nor does the folder {tmp_path / 'no'}; expected a file or a folder of articles"
    )


@pytest.mark.parametrize("raw", [b"", b" \r\n\t", b"\xef\xbb\xbf\n"])
def test_when_a_text_file_is_empty_then_the_message_names_it(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(raw)
    assert message(tmp_path) == f"{file} is empty; expected the text of an article"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jsonl", "expected one JSON object with a 'text' on each line"),
        ("a.parquet", "expected one article in each row"),
    ],
)
def test_when_a_table_has_no_rows_then_the_message_names_it(tmp_path: Path, name: str, expected: str) -> None:
    file = tmp_path / name
    if name == "a.jsonl":
        file.write_text("\n\n")
    else:
        pq.write_table(pa.table({"text": pa.array([], pa.string())}), file)
    assert message(file) == f"{file} is empty; {expected}"


def test_when_a_folder_holds_no_article_then_the_extensions_are_listed(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("about")
    assert message(tmp_path) == (
        f"{tmp_path} holds no article; expected at least one file of: .txt, .md, .html, .htm, .jsonl, .parquet"
    )


def test_when_a_file_is_of_another_kind_then_the_nearest_extension_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("{}")
    assert message(file) == (
        f"{file}: cannot read articles from '.json' files; expected one of: .txt, .md, .html, .htm, .jsonl, .parquet; "
        "did you mean '.jsonl'?"
    )


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        (b"One.\nTwo caf\xe9.\n", "byte 0xe9 at offset 12, line 2"),
        (b"\xef\xbb\xbfOne\xff", "byte 0xff at offset 6, line 1"),
        ("No.".encode("utf-16"), "byte 0xff at offset 0, line 1; it looks like UTF-16"),
    ],
)
def test_when_a_text_is_not_utf8_then_the_byte_is_located(tmp_path: Path, raw: bytes, where: str) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(raw)
    assert message(file) == f"{file} is not UTF-8: {where}; expected UTF-8 text"


def test_when_a_jsonl_line_is_not_utf8_then_offset_and_line_count_from_the_file_start(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"text": "No."}\n{"text": "caf\xe9"}\n')
    assert message(file) == f"{file} is not UTF-8: byte 0xe9 at offset 29, line 2; expected UTF-8 text"


def test_when_a_text_holds_a_nul_then_its_offset_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"No\0pe")
    assert message(file) == f"{file}: a NUL character at offset 2; expected text, not a binary file"


def test_when_a_jsonl_text_holds_half_a_surrogate_pair_then_it_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "No\\ud800"}\n')
    assert message(file) == (
        f"{file}:1: half a surrogate pair, \\ud800, at offset 2 of the text; expected whole characters"
    )


def test_when_a_line_is_not_json_then_file_and_line_are_named(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "No."}\n{"text": No}\n')
    assert message(file) == (
        f"{file}:2 is not JSON: Expecting value: line 1 column 10 (char 9); expected one JSON object on each line"
    )


def test_when_a_line_is_json_but_no_object_then_its_kind_is_named(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "a.jsonl", ["No."])
    assert message(file) == f"{file}:1 is a JSON list; expected a JSON object with a 'text'"


def test_when_a_line_has_no_text_then_found_and_expected_keys_are_listed(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "a.jsonl", {"txt": "No.", "day": 1})
    assert message(file) == (
        f"{file}:1: no 'text' among the keys; found: txt, day; expected: text (and optionally id, title, date, source, "
        "url); did you mean 'txt'?"
    )


def test_when_a_parquet_file_has_no_text_then_found_and_expected_columns_are_listed(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"body": ["No."], "label": [1]}), file)
    assert message(file) == (
        f"{file}: no 'text' among the columns; found: body, label; expected: text (and optionally id, title, date, "
        "source, url)"
    )


def test_when_a_parquet_file_is_something_else_then_the_message_says_so(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    file.write_bytes(b"not parquet at all")
    assert message(file).startswith(f"{file} is not a Parquet file: ")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"text": None}, "'text' is null; expected a string"),
        ({"text": 3}, "'text' is a int; expected a string"),
        ({"text": " \n"}, "the text is empty; expected the text of an article"),
        ({"text": "No.", "title": ["a"]}, "'title' is a list; expected a string"),
        ({"text": "No.", "id": True}, "'id' is a bool; expected a string"),
    ],
)
def test_when_a_value_is_of_the_wrong_kind_then_the_line_is_named(tmp_path: Path, row: object, expected: str) -> None:
    file = write_jsonl(tmp_path / "a.jsonl", {"text": "Yes."}, row)
    assert message(file) == f"{file}:2: {expected}"


def test_when_an_id_comes_twice_then_both_places_are_named(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "a.jsonl", {"text": "No.", "id": "x"}, {"text": "Yes.", "id": "x"})
    assert message(file) == (
        f"{file}:2: the id 'x' is already that of {file}:1; expected a different id for each article"
    )


def test_when_a_later_row_is_wrong_then_the_earlier_ones_have_already_come(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "No."}\nnot json\n')
    articles = read_articles(file)
    assert next(articles).text == "No."
    with pytest.raises(UserError, match=r"a\.jsonl:2 is not JSON"):
        next(articles)

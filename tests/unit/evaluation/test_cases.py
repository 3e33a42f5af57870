"""The file of an evaluation: what it may say, and the one sentence about what is wrong with it."""

from pathlib import Path

import pytest

from runllm.errors import UsageError
from runllm.evaluation.cases import Case, case_of, read_cases, write_cases


def file_of(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "cases.jsonl"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", r"has no cases\. Write one a line"),
        ("{", r"line 1, is not JSON"),
        ("[1]", r"line 1, is no JSON object"),
        ('{"question": "x"}\n{"asked": "x"}', r"line 2: asked: there is no such field; there are id, question"),
        ('{"question": "x", "expect": {"sauces": []}}', r"expect\.sauces: there is no such field; there are category"),
        ('{"question": "x", "expect": {"category": "good"}}', r"expect\.category: .*'answered'"),
        ('{"id": "x"}', r"line 1: a case has either a question or a conversation"),
        ('{"conversation": [{"author": "assistant", "text": "x"}]}', r"a conversation ends with what the user asks"),
        ('{"id": "a", "question": "x"}\n{"id": "a", "question": "y"}', r"two cases with the id 'a'"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        read_cases(file_of(tmp_path, text))


def test_a_missing_file_says_what_one_looks_like(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be read.*\"question\".*--from-sessions"):
        read_cases(tmp_path / "nothing")


def test_a_case_without_an_id_is_named_after_its_line(tmp_path: Path) -> None:
    assert [case.id for case in read_cases(file_of(tmp_path, '\n{"question": "x"}\n'))] == ["line 2"]


def test_an_answer_that_was_helpful_is_what_to_expect(tmp_path: Path) -> None:
    said = [{"author": "user", "text": "one"}, {"author": "assistant", "text": "two"}, {"author": "user", "text": "3"}]
    recorded = {"session_id": 7, "said": said, "answer": "It is.", "category": "answered", "is_helpful": True}
    recorded["sources"] = [{"title": "Keys", "url": "https://x.example/keys"}, {"title": "No address"}]
    case = case_of(recorded)
    assert (case.expect.category, case.expect.sources) == ("answered", ["https://x.example/keys", "No address"])
    assert (case.asked, case.was, case.rated) == ("3", "It is.", "helpful")
    write_cases(tmp_path / "new.jsonl", [case])
    assert read_cases(tmp_path / "new.jsonl") == [case]


def test_of_an_answer_that_was_not_nothing_is_expected() -> None:
    said = [{"author": "user", "text": "one"}]
    case = case_of(
        {"session_id": 7, "said": said, "answer": "No.", "category": "answered", "sources": [], "is_helpful": False}
    )
    assert case == Case(id="session-7-1", question="one", was="No.", rated="unhelpful")

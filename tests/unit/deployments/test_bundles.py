"""A version's directory: whole or absent, the same bytes for ever, and nowhere else."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runllm.bridge.listeners import WidgetListener
from runllm.bundle import Bundle, BundleEntry
from runllm.errors import PublishError
from worker.deployments import bundles

BUILD = "3f9c00000000"


def bundle(files: dict[str, str]) -> Bundle:
    return Bundle(
        name="support",
        files=files,
        entrypoint=BundleEntry(name="answer", module="flow", function="answer"),
        listeners=[WidgetListener(domain="localhost")],
    )


def test_files_are_written_compiled_and_read_only(tmp_path: Path) -> None:
    directory = bundles.unpack(bundle({"flow.py": "x = 1\n", "parts/prices.py": "# grün\n"}), BUILD, tmp_path)

    assert directory == tmp_path / "support" / BUILD
    assert (directory / "parts/prices.py").read_text(encoding="utf-8") == "# grün\n"
    assert list(directory.glob("__pycache__/flow.*.pyc"))
    assert list(directory.glob("parts/__pycache__/prices.*.pyc"))
    for path in [directory, *directory.rglob("*")]:
        assert path.stat().st_mode & 0o222 == 0, f"{path} can be written"


def test_unpacking_again_changes_nothing(tmp_path: Path) -> None:
    first = bundles.unpack(bundle({"flow.py": "x = 1\n"}), BUILD, tmp_path)
    before = (first / "flow.py").stat().st_mtime_ns, first.stat().st_ino

    second = bundles.unpack(bundle({"flow.py": "x = 1\n"}), BUILD, tmp_path)

    assert (second / "flow.py").stat().st_mtime_ns, second.stat().st_ino == before


def test_a_directory_that_is_not_whole_is_made_anew(tmp_path: Path) -> None:
    target = tmp_path / "support" / BUILD
    target.mkdir(parents=True)
    (target / "flow.py").write_text("x = 2\n")

    bundles.unpack(bundle({"flow.py": "x = 1\n", "more.py": ""}), BUILD, tmp_path)

    assert (target / "flow.py").read_text() == "x = 1\n"
    assert (target / "more.py").exists()


def test_what_a_killed_process_left_behind_is_not_the_version(tmp_path: Path) -> None:
    unfinished = tmp_path / "support" / f".{BUILD}-abc"
    unfinished.mkdir(parents=True)

    directory = bundles.unpack(bundle({"flow.py": "x = 1\n"}), BUILD, tmp_path)

    assert directory.name == BUILD
    assert (directory / "flow.py").exists()


def test_several_processes_may_unpack_the_same_version_at_once(tmp_path: Path) -> None:
    files = {f"part{i}.py": f"x = {i}\n" for i in range(20)}
    with ThreadPoolExecutor(6) as pool:
        found = set(pool.map(lambda _: bundles.unpack(bundle(files), BUILD, tmp_path), range(6)))

    assert found == {tmp_path / "support" / BUILD}
    assert bundles.is_whole(found.pop(), bundle(files))
    assert [path.name for path in (tmp_path / "support").iterdir()] == [BUILD]


def test_a_syntax_error_is_left_to_validation(tmp_path: Path) -> None:
    directory = bundles.unpack(bundle({"flow.py": "def broken(:\n"}), BUILD, tmp_path)

    assert (directory / "flow.py").exists()


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../outside.py",
        "a/../../outside.py",
        "a/./b.py",
        "a//b.py",
        "",
        "a/",
        ".hidden.py",
        "a\\b.py",
        "a\x00.py",
        "a\nb.py",
        "C:/x.py",
        "/".join(["deep"] * 20) + ".py",
        "long" * 40 + ".py",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="rename the file"):
        bundles.unpack(bundle({path: "x = 1\n"}), BUILD, tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_name_cannot_be_both_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="both as a file and as a folder"):
        bundles.unpack(bundle({"flow.py": "", "flow.py/more.py": ""}), BUILD, tmp_path)


def test_half_a_surrogate_pair_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="not text in UTF-8"):
        bundles.unpack(bundle({"flow.py": "x = '\ud800'"}), BUILD, tmp_path)


def test_a_read_only_directory_can_be_removed(tmp_path: Path) -> None:
    directory = bundles.unpack(bundle({"a/b/flow.py": ""}), BUILD, tmp_path)

    bundles.remove(directory)

    assert not directory.exists()

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import ValidationError

from store.engine import database_url
from store.settings import StoreSettings, ensure_secret


def test_without_settings_everything_is_in_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = StoreSettings.from_env({})
    assert settings.home == tmp_path / ".runllm"
    assert settings.database_url == f"sqlite:///{tmp_path}/.runllm/runllm.db"


def test_a_home_directory_may_have_any_name(tmp_path: Path) -> None:
    home = tmp_path / "a b?c#d%20"
    settings = StoreSettings.from_env({"RUNLLM_HOME": str(home)})
    assert database_url(settings.database_url).database == str(home / "runllm.db")


def test_the_environment_decides(tmp_path: Path) -> None:
    environ = {
        "RUNLLM_HOME": str(tmp_path / "home"),
        "RUNLLM_DATABASE_URL": "postgresql://h/n",
        "RUNLLM_SECRET": "s3cret",
    }
    settings = StoreSettings.from_env(environ)
    assert (settings.home, settings.database_url) == (tmp_path / "home", "postgresql://h/n")
    assert settings.secret.get_secret_value() == "s3cret"
    assert not settings.home.exists()
    assert "s3cret" not in repr(settings)


def test_settings_do_not_change(tmp_path: Path) -> None:
    settings = StoreSettings.from_env({"RUNLLM_HOME": str(tmp_path)})
    with pytest.raises(ValidationError):
        settings.database_url = "sqlite:///other.db"


def test_a_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "home" / "secret"
    secret = ensure_secret(path)
    assert len(bytes.fromhex(secret)) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert ensure_secret(path) == secret
    assert [file.name for file in path.parent.iterdir()] == ["secret"]


def test_all_who_make_it_at_once_read_the_same_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(20) as pool:
        secrets = set(pool.map(ensure_secret, [tmp_path / "secret"] * 40))
    assert len(secrets) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["secret"]


def test_an_empty_secret_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "secret").touch()
    with pytest.raises(ValueError, match="Remove it"):
        ensure_secret(tmp_path / "secret")

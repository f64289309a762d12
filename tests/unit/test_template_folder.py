"""The folder of templates: which file is what, and what is said of one that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.notifying import notification_policy, require_notification_settings
from infra.settings import SettingsError, load_settings
from infra.template_folder import read_folders


def test_files_are_parts_of_templates_in_languages(tmp_path: Path) -> None:
    (tmp_path / "welcome.title.txt").write_text("Hello {{ name }}")
    (tmp_path / "welcome.txt").write_text("text")
    (tmp_path / "welcome.de-CH.title.txt").write_text("Grüezi {{ name }}")
    (tmp_path / "welcome.de-CH.html").write_text("<b>{{ name }}</b>")
    (tmp_path / "notes.md").write_text("no template")
    found = read_folders([tmp_path])
    assert found.keys() == {"welcome"}
    assert found["welcome"].locales == {
        "": {"title": "Hello {{ name }}", "message": "text", "html": None},
        "de-CH": {"title": "Grüezi {{ name }}", "message": "text", "html": "<b>{{ name }}</b>"},
    }


def test_the_version_changes_with_the_files(tmp_path: Path) -> None:
    file = tmp_path / "t.title.txt"
    file.write_text("one")
    first = read_folders([tmp_path])["t"].version
    assert read_folders([tmp_path])["t"].version == first
    file.write_text("two")
    assert read_folders([tmp_path])["t"].version != first


def test_an_earlier_folder_goes_before_a_later_one_and_none_need_exist(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "t.title.txt").write_text(name)
    folders = [tmp_path / "missing", tmp_path / "b", tmp_path / "a"]
    assert read_folders(folders)["t"].locales[""]["title"] == "b"


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [("t.txt", "text", "t.title.txt is missing"), ("t.title.txt", "{{ broken", "title: line 1")],
)
def test_what_cannot_be_used_is_told_with_its_place(tmp_path: Path, file: str, text: str, why: str) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(SettingsError, match=why):
        read_folders([tmp_path])


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ({"templates": {"dir": "/nowhere/at/all"}}, "templates.dir"),
        ({"channels": {"email": {"template_dir": "/nowhere/at/all"}}}, "channels.email.template_dir"),
    ],
)
def test_a_folder_that_is_named_and_not_there_stops_the_start(section: dict[str, Any], key: str) -> None:
    settings = load_settings(environ={}, modules={"notifications": section})
    with pytest.raises(SettingsError, match=f"modules.notifications.{key}.*there is no folder /nowhere/at/all"):
        require_notification_settings(settings)
    module_off = load_settings(environ={}, modules={"notifications": {"enabled": False, **section}})
    require_notification_settings(module_off)


def test_nobody_needs_the_folder_that_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert notification_policy(load_settings(environ={}), ()).folder == {}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "t.title.txt").write_text("mine")
    named = load_settings(environ={}, modules={"notifications": {"templates": {"dir": "mine"}}})
    assert notification_policy(named, ()).folder.keys() == {"t"}

"""Settings: what is refused, and that no secret is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.settings import load_settings
from infra.settings_errors import KeyRequired, MissingVariable, SettingsError, SettingsFileError, UnsupportedVendor
from infra.settings_modules import Module


def written(folder: Path, text: str, name: str = "modules.yaml") -> Path:
    """A settings file."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def vendor(modules: dict[str, Any]) -> Module:
    """The one module that is configured."""
    settings = load_settings(environ={}, modules=modules)
    (name,) = modules
    module = getattr(settings.modules, name)
    assert isinstance(module, Module)
    return module


@pytest.mark.parametrize(
    ("modules", "refused", "offered"),
    [
        ({"jobs": {"broker": "sqs"}}, "sqs", "rabbitmq"),
        ({"search": {"vector_db": "pinecone"}}, "pinecone", "pgvector"),
        ({"search": {"embeddings": "openai"}}, "openai", "cohere"),
        ({"exports": {"storage": "gcs"}}, "gcs", "s3"),
        ({"progress": {"storage": "mongodb"}}, "mongodb", "postgresql"),
        ({"notifications": {"email": {"provider": "pigeon"}}}, "pigeon", "smtp"),
    ],
)
def test_a_vendor_that_is_not_built_in_is_refused_when_its_module_is_composed(
    modules: dict[str, Any], refused: str, offered: str
) -> None:
    with pytest.raises(UnsupportedVendor) as error:
        vendor(modules).require_supported()
    assert error.value.vendor == refused
    assert offered in error.value.supported
    assert error.value.entry_point in str(error.value)


def test_a_module_that_is_off_may_name_any_vendor() -> None:
    assert vendor({"search": {"enabled": False, "vector_db": "pinecone"}}).require_supported() == ()


def test_redis_as_the_broker_of_jobs_is_replaced_with_a_notice() -> None:
    (notice,) = vendor({"jobs": {"broker": {"type": "redis", "url": "redis://localhost"}}}).require_supported()
    assert "redis" in notice
    assert vendor({"jobs": {"broker": "rabbitmq"}}).require_supported() == ()


@pytest.mark.parametrize(
    ("tree", "key", "nearest"),
    [
        ({"hots": "x"}, "hots", "host"),
        ({"modules": {"serch": {}}}, "modules.serch", "modules.search"),
        ({"modules": {"jobs": {"quees": {}}}}, "modules.jobs.quees", "modules.jobs.queues"),
        (
            {"modules": {"jobs": {"defaults": {"timout": 1}}}},
            "modules.jobs.defaults.timout",
            "modules.jobs.defaults.timeout",
        ),
        (
            {"modules": {"jobs": {"queues": {"media": {"priorty": 1}}}}},
            "modules.jobs.queues.media.priorty",
            "modules.jobs.queues.media.priority",
        ),
        ({"modules": {"jobs": {"worker": {"x": 1}}}}, "modules.jobs.worker", "modules.jobs.workers"),
        (
            {"modules": {"search": {"vector_db": {"typ": 1}}}},
            "modules.search.vector_db.typ",
            "modules.search.vector_db.type",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_one(tree: dict[str, Any], key: str, nearest: str) -> None:
    with pytest.raises(SettingsError) as error:
        load_settings(environ={}, **tree)
    assert [(problem.key, problem.nearest) for problem in error.value.problems] == [(key, nearest)]


def test_a_misspelled_variable_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(SettingsError, match=r"MILLRACE_PROT: is no setting \(did you mean MILLRACE_PORT\?\)"):
        load_settings(environ={"MILLRACE_PROT": "1"})


def test_variables_of_the_client_and_of_strangers_are_no_settings() -> None:
    load_settings(environ={"MILLRACE_URL": "amqp://localhost", "MILLRACE_TEST_ANYTHING": "1", "PATH": "/bin"})


def test_every_wrong_key_is_listed_in_one_line() -> None:
    with pytest.raises(SettingsError) as error:
        load_settings(environ={}, port="x", modules={"jobs": {"defaults": {"timeout": -1}, "enabled": "perhaps"}}, a=1)
    keys = {problem.key for problem in error.value.problems}
    assert keys == {"port", "modules.jobs.defaults.timeout", "modules.jobs.enabled", "a"}
    assert "\n" not in str(error.value)


def test_the_same_setting_in_two_spellings_with_two_values_is_refused() -> None:
    with pytest.raises(SettingsError, match="configured twice"):
        load_settings(environ={}, modules={"progress": {}, "progress_tracker": {}})
    with pytest.raises(SettingsError, match="another value"):
        load_settings(environ={}, jobs={"workers": 3, "queues": {"default": {"workers": 4}}})


def test_a_variable_in_a_file_has_a_default_or_is_required(tmp_path: Path) -> None:
    file = written(tmp_path, "host: ${HERE:-localhost}\naws_bucket: 'a-${NAME}-$${kept}'\n")
    settings = load_settings(file, {"NAME": "x"})
    assert (settings.host, settings.aws_bucket) == ("localhost", "a-x-${kept}")
    with pytest.raises(MissingVariable) as error:
        load_settings(file, {})
    assert (error.value.key, error.value.variable) == ("aws_bucket", "NAME")


def test_a_variable_cannot_add_structure_to_a_file(tmp_path: Path) -> None:
    file = written(tmp_path, "aws_region: ${NAME}\n")
    assert load_settings(file, {"NAME": "x\nport: 1"}).port == 8000


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "host: a\nhost: b\n", "text"])
def test_a_file_that_is_no_plain_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsFileError) as error:
        load_settings(written(tmp_path, text), {})
    assert "\n" not in str(error.value)


def test_a_named_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsFileError):
        load_settings(tmp_path / "none.yaml", {})


@pytest.mark.parametrize(
    "keys",
    [
        "canary-key-one=acme,canary-key-two",
        '{"canary-key-one": "acme", "canary-key-two": "default"}',
        {"canary-key-one": "acme", "canary-key-two": None},
    ],
)
def test_api_keys_are_a_mapping_to_tenants_in_each_form(keys: Any) -> None:
    found = load_settings(environ={}, api_keys=keys).api_keys
    assert {key.key.get_secret_value(): key.tenant for key in found} == {
        "canary-key-one": "acme",
        "canary-key-two": "default",
    }


def test_an_encoded_key_may_end_with_its_padding() -> None:
    (found,) = load_settings(environ={"MILLRACE_API_KEYS": "Y2FuYXJ5LWtleQ=="}).api_keys
    assert (found.key.get_secret_value(), found.tenant) == ("Y2FuYXJ5LWtleQ==", "default")


def test_lists_may_be_written_with_commas() -> None:
    settings = load_settings(environ={"MILLRACE_ALLOWED_HOSTS": "a.example, b.example"})
    assert settings.allowed_hosts == ("a.example", "b.example")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com"])
def test_listening_beyond_this_machine_needs_a_key(host: str) -> None:
    with pytest.raises(KeyRequired):
        load_settings(environ={}, host=host).require_key_off_loopback()
    load_settings(environ={}, host=host, api_keys={"canary-key-one": "acme"}).require_key_off_loopback()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1", "[::1]"])
def test_listening_on_this_machine_needs_no_key(host: str) -> None:
    load_settings(environ={}, host=host).require_key_off_loopback()


def test_no_secret_is_shown_by_settings_or_by_errors() -> None:
    secrets: dict[str, Any] = {
        "database_url": "postgresql://u:canary-1@h/d",
        "rabbitmq_url": "amqp://u:canary-2@h",
        "cohere_api_key": "canary-3",
        "api_keys": {"canary-4-long": "acme"},
        "search": {"embeddings": {"api_key": "canary-5"}},
    }
    settings = load_settings(environ={}, **secrets)
    assert "canary" not in repr(settings) + str(settings) + settings.model_dump_json()
    wrong = secrets | {"database_url": "mysql://u:canary-1@h", "api_keys": {"c4": "a b"}, "port": "canary-6"}
    with pytest.raises(SettingsError) as error:
        load_settings(environ={}, **wrong)
    assert "canary" not in repr(error.value) + str(error.value)
    assert error.value.__cause__ is None
    assert len(error.value.problems) == 4


@pytest.mark.parametrize("name", ["DATABASE_URL", "RABBITMQ_URL", "REDIS_URL"])
def test_a_url_that_cannot_be_taken_apart_is_refused_without_its_password(name: str) -> None:
    scheme = {"DATABASE_URL": "postgresql", "RABBITMQ_URL": "amqp", "REDIS_URL": "redis"}[name]
    with pytest.raises(SettingsError) as refused:
        load_settings(environ={name: f"{scheme}://millrace:CANARY/7@127.0.0.1:5432/x"})
    assert "CANARY" not in str(refused.value)
    assert "%2F" in str(refused.value)

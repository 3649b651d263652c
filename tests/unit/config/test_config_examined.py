"""What is configured for a provider is held against what its own description says."""

from pathlib import Path

import pytest

from relay.assembly import accounts
from relay.config import ConfigInvalid
from relay.log import SecretMask
from relay.settings import load_settings


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Load a text as the daemon does, and return its warnings without the file's folder."""
    monkeypatch.setenv("KEY", "k")

    def checked(text: str) -> list[str]:
        path = tmp_path / "config.toml"
        path.write_text(text)
        return [warning.replace(f"{tmp_path}/", "").splitlines()[0] for warning in load_settings(path).warnings]

    return checked


@pytest.fixture
def refuse(check, tmp_path):
    """Return the lines that tell the errors of a text."""

    def refused(text: str) -> list[str]:
        with pytest.raises(ConfigInvalid) as caught:
            check(text)
        report = caught.value.report.replace(f"{tmp_path}/", "")
        return [line for line in report.splitlines() if ": error:" in line]

    return refused


def test_a_secret_that_the_provider_needs_is_missed_in_its_place(refuse):
    """Told with everything else that is wrong."""
    assert refuse("[server]\nlisen = 1\n[providers.getimg]\n[providers.kling-jwt]\n") == [
        'config.toml:2:1: error: unknown key "lisen"',
        "config.toml:3:2: error: getimg.ai needs api_key",
        "config.toml:4:2: error: Kling videos, by access key and secret key needs secrets.secret_key",
        "config.toml:4:2: error: Kling videos, by access key and secret key needs secrets.access_key",
    ]


def test_a_key_that_is_there_but_wrong_is_not_missed_as_well(refuse):
    """One mistake, one error."""
    assert len(refuse('[providers.getimg]\napi_key = "sk_inline"\n')) == 1


def test_a_provider_without_a_host_of_its_own_needs_one(refuse):
    """Azure's accounts each have theirs."""
    (told,) = refuse('[providers.azure-videos]\napi_key = { env = "KEY" }\n')

    assert told.startswith('config.toml:1:2: error: "base_url" is needed')


def test_a_provider_file_that_is_wrong_is_told_where_it_is_named(refuse, tmp_path):
    """With its own first error; lint tells the others."""
    (tmp_path / "mine.toml").write_text("title = 3\n")

    (told,) = refuse('[providers.mine]\nspec = "mine.toml"\n')

    assert told.startswith("config.toml:2:1: error: mine.toml:1:1: error:")


def test_a_source_that_is_wrong_by_itself_is_told_once(refuse):
    """The table's name is not taken for a preset instead: there may be none, and if there is one, it is not meant."""
    assert refuse('[providers.mine]\nspec = "a\\u0000b"\n[providers.getimg]\nspec = 3\n') == [
        "config.toml:2:1: error: \"spec\" should match pattern '^[^\\x00-\\x1f\\x7f]+$'",
        'config.toml:4:1: error: "spec" should be a valid string',
    ]


def test_asking_more_often_than_the_provider_wants_is_doubted(check):
    """Runway documents 5 s between polls, NanoGPT 25 requests a second."""
    told = check(
        '[providers.runway]\napi_key = { env = "KEY" }\nmin_interval = "1s"\n'
        '[providers.nanogpt]\napi_key = { env = "KEY" }\nrate = "26/s"\n'
        '[providers.getimg]\napi_key = { env = "KEY" }\nmin_interval = "100ms"\nrate = "1000/s"\n'
    )

    assert told == [
        "config.toml:3:1: warning: the provider asks for 5s between polls",
        "config.toml:6:1: warning: the provider allows 25/s",
    ]


def test_a_deadline_before_the_first_look_is_doubted(check):
    """With the time of that look; a deadline behind it is fine."""
    (told,) = check('[providers.getimg]\napi_key = { env = "KEY" }\ndeadline = "2s"\n')

    assert told == "config.toml:3:1: warning: is shorter than the 7.3s after which a job is first looked at"
    assert check('[providers.getimg]\napi_key = { env = "KEY" }\ndeadline = "20s"\n') == []


def test_a_first_look_after_the_deadline_that_holds_is_doubted(check):
    """The preset's deadline of 6 hours is not in the file, the interval that contradicts it is."""
    (told,) = check('[providers.getimg]\napi_key = { env = "KEY" }\nmin_interval = "10h"\nmax_interval = "11h"\n')

    assert told == "config.toml:3:1: warning: a job is first looked at after 10h00m, but its watch ends after 6h"


def test_a_longest_interval_below_the_shortest_is_doubted(check):
    """Whichever of the two stands in the file: here the shortest is Runway's own."""
    (told,) = check('[providers.runway]\napi_key = { env = "KEY" }\nmax_interval = "2s"\n')

    assert told == "config.toml:3:1: warning: is shorter than the 5s that are kept between polls"


def test_an_interval_that_the_provider_documents_holds_whatever_lag_is_wanted(check, tmp_path):
    """Relay's own default of a second gives way to a shorter lag."""
    check(
        '[schedule]\ndetection_lag = "500ms"\n[providers.runway]\napi_key = { env = "KEY" }\n'
        '[providers.getimg]\napi_key = { env = "KEY" }\n'
    )

    found = accounts(load_settings(Path(tmp_path / "config.toml")), SecretMask())
    assert found["runway"].following.bounds.min_interval_s == 5.0
    assert found["getimg"].following.bounds.min_interval_s == 0.5

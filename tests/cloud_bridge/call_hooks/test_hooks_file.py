import logging
import os
import re
from pathlib import Path

import pytest

from cloud_bridge import cli
from cloud_bridge.call_hooks.board import LOOK_S, HookBoard
from cloud_bridge.call_hooks.hooks_file import FILE_NAME, PROVIDERS, Hook, read_hooks
from cloud_bridge.call_hooks.mapping import parse_mapping
from cloud_bridge.call_hooks.signatures import SCHEMES
from cloud_bridge.registry import Registry
from edge_sdk.errors import ConfigError
from tests.cloud_bridge.call_hooks.signed import TELNYX_PUBLIC
from tests.cloud_bridge.call_hooks.test_mapping import OWN
from tests.cloud_bridge.rig import SetClock

TOKEN = "top-secret-token"
ENVIRONMENT = {
    "TWILIO_TOKEN": TOKEN,
    "TELNYX_KEY": TELNYX_PUBLIC,
    "SINCH": "BeIukql3pTKJ8RGL5zo0DA==",
}
ONE = """
[[hook]]
name = "twilio-paris"
provider = "twilio"
site = "paris-1"
public_url = "https://calls.shop.example/bridge/"
secret_env = "TWILIO_TOKEN"
region = "FR"

[[hook.route]]
dial = "01 70 18 00 99"

[[hook.route]]
number = "01 70 18 00 00"
dial = "sip:desk@pbx.example"
timeout_s = 30
whisper = "From the web page."
language = "fr-FR"
"""


def read(home: Path, text: str) -> tuple[Hook, ...]:
    (home / FILE_NAME).write_text(text)
    return read_hooks(home / FILE_NAME, ENVIRONMENT).hooks


def test_a_hook_and_its_routes(tmp_path: Path) -> None:
    (hook,) = read(tmp_path, ONE)
    assert (hook.name, hook.provider.name, hook.dialect) == ("twilio-paris", "twilio", "twilio")
    assert hook.url == "https://calls.shop.example/bridge/calls/hooks/twilio-paris"
    assert (hook.site, hook.region, hook.secret.value) == ("paris-1", "FR", TOKEN.encode())
    desk, others = hook.route("+33170180000"), hook.route("+33170180001")
    assert desk is not None
    assert (desk.target, desk.timeout_s, desk.language) == ("sip:desk@pbx.example", 30, "fr-FR")
    assert desk.whisper_url == f"{hook.url}?whisper=1"
    assert others is not None
    assert others.target == "+33170180099"
    assert TOKEN not in hook.url + repr(hook)
    assert hook.doubts == ()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider(provider: str, tmp_path: Path) -> None:
    env = {"telnyx": "TELNYX_KEY", "texml": "TELNYX_KEY", "sinch": "SINCH"}
    text = ONE.partition("[[hook.route]]")[0].replace('"twilio"', f'"{provider}"')
    text = text.replace('"TWILIO_TOKEN"', f'"{env.get(provider, "TWILIO_TOKEN")}"')
    if provider == "sinch":
        text += 'key = "669E367E"\n'
    (hook,) = read(tmp_path, text)
    assert hook.secret.scheme in SCHEMES
    assert hook.provider.name == {"texml": "telnyx"}.get(provider, provider)
    assert hook.route("+33170180000") is None


def test_a_provider_of_ones_own_and_a_secret_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN)
    secret = tmp_path / "own.secret"
    secret.write_text(f"{TOKEN}\n")
    secret.chmod(0o600)
    text = ONE.replace('provider = "twilio"', 'mapping = "own.toml"\nheader = "X-Signature"')
    text = text.replace('secret_env = "TWILIO_TOKEN"', 'secret_file = "own.secret"')
    (hook,) = read(tmp_path, text)
    assert (hook.provider.name, hook.secret.scheme) == ("pbx7", "hmac-sha256")
    assert (hook.secret.header, hook.secret.value) == ("X-Signature", TOKEN.encode())
    assert hook.doubts == ()
    secret.chmod(0o644)
    (hook,) = read(tmp_path, text)
    assert "can be read by others" in hook.doubts[0]
    (tmp_path / "own.toml").write_text(OWN.replace("hmac-sha256", "shared-secret"))
    (hook,) = read(tmp_path, text)
    assert "signs no body" in hook.doubts[1]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"twilio-paris"', '"Twilio Paris"', "name is 1 to 32"),
        ('"twilio-paris"', '"-a"', "name is 1 to 32"),
        ('"twilio"', '"twillio"', "provider is one of twilio, telnyx, texml, plivo"),
        ('"twilio"', '"../x"', "provider is one of"),
        ('provider = "twilio"', "", "`provider`, or `mapping`"),
        ('provider = "twilio"', 'mapping = "no.toml"', "no such file"),
        ('site = "paris-1"', "", "site is missing"),
        ('"paris-1"', f'"{"x" * 65}"', "site is 1 to 64"),
        ("https://calls", "http://calls", "public_url is https"),
        ("https://calls", "https://u:top-secret-token@calls", "public_url is https"),
        ("bridge/", "bridge?token=top-secret-token", "public_url is https"),
        ("shop.example/bridge", "shop.example:99999", "public_url is https"),
        ("https://calls.shop.example/bridge/", "calls", "public_url is https"),
        ('secret_env = "TWILIO_TOKEN"', "", "secret_file, or secret_env"),
        ('secret_env = "TWILIO_TOKEN"', 'secret = "top-secret-token"', "does not stand in this"),
        ('"TWILIO_TOKEN"', '"NO_TOKEN"', "names NO_TOKEN, which the environment does not have"),
        ('secret_env = "TWILIO_TOKEN"', 'secret_file = "no.token"', "no such file"),
        ('"twilio"', '"telnyx"', "secret: the secret of telnyx is"),
        ('"FR"', '"fr"', "region: a region is"),
        ('"01 70 18 00 00"', '"desk"', "number is one of ours"),
        ("sip:desk@pbx.example", "sip:desk", "route: a call is connected to"),
        ('"01 70 18 00 99"', '"x"', "route: a call is connected to"),
        ("timeout_s = 30", "timeout_s = 1", "timeout_s is 5 to 600"),
        ('"fr-FR"', '"french"', "route: a language"),
        ('number = "01 70 18 00 00"', "", "names one number twice"),
        ("timeout_s", "timout_s", "is it timeout_s?"),
        ("region", "regoin", "is it region?"),
        ("[[hook]]", "[hook]", "with two brackets"),
    ],
)
def test_a_faulty_file_says_which_entry_and_no_secret(
    old: str, new: str, says: str, tmp_path: Path
) -> None:
    assert old in ONE
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, ONE.replace(old, new))
    assert says in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_a_call_that_would_be_ended_is_doubted(tmp_path: Path) -> None:
    head, first, second = ONE.split("[[hook.route]]")
    for text, says in (
        (head, "calls that ask"),
        (f"{head}[[hook.route]]{second}", "other numbers"),
    ):
        (hook,) = read(tmp_path, text)
        assert says in hook.doubts[0]
    (hook,) = read(tmp_path, f"{head}[[hook.route]]{first}")
    assert hook.doubts == ()


def test_the_documents_files_are_right(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "call-providers.md").read_text()
    hooks, own = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "twilio.token").write_text(TOKEN)
    (hook,) = read(tmp_path, hooks)
    assert hook.route("+33170180000") is not None
    assert parse_mapping(own).name == "pbx7"


def test_two_hooks_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="each has its own"):
        read(tmp_path, ONE + ONE)


class Watched:
    """A board whose clock a test moves past the next look."""

    def __init__(self, *homes: Path) -> None:
        self.clock = SetClock()
        tenants = {home.name: home for home in homes}
        self.board = HookBoard(tenants, self.clock, ENVIRONMENT)

    def find(self, name: str = "twilio-paris") -> tuple[str, Hook] | None:
        self.clock.ms += round(LOOK_S * 1000)
        return self.board.find(name)


def older(path: Path) -> None:
    """As if it had been written a while ago."""
    long_ago_s = path.stat().st_mtime - 100
    os.utime(path, (long_ago_s, long_ago_s))


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    home = tmp_path / "acme"
    home.mkdir()
    return home


def test_a_file_is_followed(acme: Path) -> None:
    watched = Watched(acme)
    file = acme / FILE_NAME
    assert watched.find() is None
    file.write_text(ONE)
    older(file)
    found = watched.find()
    assert found is not None
    assert found[0] == "acme"
    again = watched.find()
    assert again is not None
    assert again[1] is found[1]  # not read again
    file.write_text(ONE.replace("twilio-paris", "twilio-lyon"))
    assert watched.find() is None
    assert watched.find("twilio-lyon") is not None
    file.write_text(ONE.replace("twilio-paris", "twilio-rome"))  # in the same tick, as long
    assert watched.find("twilio-rome") is not None
    file.unlink()
    assert watched.find("twilio-rome") is None
    assert len(watched.board) == 0


def test_a_file_that_became_faulty_leaves_things_as_they_are(
    acme: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched(acme)
    file, secret = acme / FILE_NAME, acme / "t"
    file.write_text(ONE)
    assert watched.find() is not None
    file.write_text(ONE.replace('secret_env = "TWILIO_TOKEN"', 'secret_file = "t"'))
    older(file)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert watched.find() is not None
    assert len(caplog.records) == 1
    assert "there is no such file" in caplog.text
    assert watched.board.faulty == 1
    secret.write_text("another")  # the file itself has not changed since
    found = watched.find()
    assert found is not None
    assert found[1].secret.value == b"another"
    assert watched.board.faulty == 0
    older(secret)
    watched.find()
    secret.write_text("rotated")
    found = watched.find()
    assert found is not None
    assert found[1].secret.value == b"rotated"


def test_a_name_is_one_tenants(
    acme: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = tmp_path / "zeta"
    other.mkdir()
    for home in (other, acme):
        (home / FILE_NAME).write_text(ONE)
    watched = Watched(other, acme)
    found = watched.find()
    assert found is not None
    assert found[0] == "acme"
    assert "is acme's already" in caplog.text


def test_the_command_checks_and_says_what_to_enter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_TOKEN", TOKEN)
    for tenant in ("acme", "zeta"):
        with Registry(tmp_path / tenant).opened(tenant):
            pass
    file = tmp_path / "acme" / FILE_NAME

    def check(tenant: str = "acme") -> tuple[int, str, str]:
        code = cli.main(["hooks", "check", "--data", str(tmp_path), "--tenant", tenant])
        told = capsys.readouterr()
        assert TOKEN not in told.out + told.err
        return code, told.out, told.err

    assert check()[0] == 1
    file.write_text(ONE.replace("https://calls.shop.example", "http://127.0.0.1:8080"))
    code, out, err = check()
    assert code == 0
    assert "http://127.0.0.1:8080/bridge/calls/hooks/twilio-paris" in out
    assert "doubt: twilio-paris: public_url is not https" in err
    file.write_text(ONE.replace('"FR"', '"France"'))
    code, out, err = check()
    assert (code, out) == (1, "")
    assert "hook 1 ('twilio-paris'): region" in err
    file.write_text(ONE)
    (tmp_path / "zeta" / FILE_NAME).write_text(ONE)
    code, _, err = check("zeta")
    assert code == 1
    assert "tenant acme as well" in err

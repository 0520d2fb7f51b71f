"""Keys and identities of overlay networks, held against the programs themselves where they are installed, else against known pairs."""

from __future__ import annotations

import json
import shutil
import subprocess
from base64 import b32decode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from clanpy.generators.errors import GeneratorFailedError
from clanpy.generators.inputs import Outputs
from clanpy.generators.kinds import make
from clanpy.generators.kinds.blake3 import blake3_of_block
from clanpy.generators.kinds.crypt import verify
from clanpy.generators.kinds.overlays import mycelium_address, onion_of, yggdrasil_address
from clanpy.secrets import Secret
from clanpy.services.generator import (
    BasicAuth,
    BorgKeys,
    Generator,
    Kind,
    MyceliumKey,
    SyncthingIdentity,
    TorOnion,
    WireGuardKey,
    YggdrasilKey,
    ZeroTierNetwork,
)
from clanpy.vars import Inputs
from support.vault import NOON


KINDS: list[Kind] = [TorOnion(), YggdrasilKey(), MyceliumKey(), SyncthingIdentity(), BorgKeys(), BasicAuth(user="loki")]


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def inputs(**dependencies: Outputs) -> Inputs:
    return Inputs(name="web/g", machine="web", now=NOON, dependencies=dependencies)


def text(outputs: Outputs, name: str) -> str:
    return outputs[name].reveal().decode()


def output_of(*command: object, given: str = "") -> str:
    return subprocess.run([str(c) for c in command], input=given, capture_output=True, check=True, text=True).stdout


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
def test_a_kind_makes_the_files_that_it_says_and_others_the_next_time(kind: Kind) -> None:
    first, second = make(kind, inputs()), make(kind, inputs())

    assert sorted(first) == sorted(kind.files()) == sorted(Generator(name="g", kind=kind).outputs())
    assert all(first[name] != second[name] for name in first)
    assert kind.dependencies() == ()


@needs("wg")
def test_wireguard_derives_the_same_public_key() -> None:
    made = make(WireGuardKey(), inputs())

    assert output_of("wg", "pubkey", given=text(made, "privatekey")).strip() == text(made, "publickey")


@needs("tor")
def test_tor_takes_the_key_and_calls_the_service_the_same(tmp_path: Path) -> None:
    made = make(TorOnion(), inputs())
    service = tmp_path / "onion"
    service.mkdir(mode=0o700)
    (service / "hs_ed25519_secret_key").write_bytes(made["hs_ed25519_secret_key"].reveal())
    torrc = tmp_path / "torrc"
    torrc.touch()
    argv = ["tor", "-f", str(torrc), "--defaults-torrc", str(torrc), "--DataDirectory", str(tmp_path / "data")]
    argv += [
        "--DisableNetwork",
        "1",
        "--SocksPort",
        "0",
        "--HiddenServiceDir",
        str(service),
        "--HiddenServicePort",
        "22",
    ]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as tor:
        assert tor.stdout is not None
        said = next(
            (line for line in tor.stdout if "Opening Control" in line or "Delaying" in line or "[err]" in line), ""
        )
        tor.terminate()
        tor.communicate(timeout=10)

    assert "[err]" not in said
    assert (service / "hostname").read_text().strip() == text(made, "hostname")


def test_an_onion_is_called_as_the_specification_of_tor_says() -> None:
    # the service of the Tor project itself
    name = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion"
    assert onion_of(b32decode(name.removesuffix(".onion").upper())[:32]) == name


@needs("yggdrasil")
def test_yggdrasil_comes_to_the_same_address() -> None:
    made = make(YggdrasilKey(), inputs())
    key = load_pem_private_key(made["privateKey"].reveal(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    public = key.public_key().public_bytes_raw()
    config = json.dumps({"PublicKey": public.hex(), "PrivateKey": (key.private_bytes_raw() + public).hex()})

    assert text(made, "publicKey") == public.hex()
    assert output_of("yggdrasil", "-useconf", "-address", given=config).strip() == text(made, "address")


@pytest.mark.parametrize(
    ("public", "address"),
    [
        ("80" + "00" * 31, "200:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("00" * 15 + "01" + "00" * 16, "27f:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ],
)
def test_addresses_of_yggdrasil_count_the_zeros_of_the_key(public: str, address: str) -> None:
    assert str(yggdrasil_address(bytes.fromhex(public))) == address


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        (b"", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
        (b"\0", "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"),
        (b"abc", "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
    ],
)
def test_blake3_of_short_data_is_that_of_its_authors(data: bytes, digest: str) -> None:
    assert blake3_of_block(data).hex() == digest


def test_blake3_of_more_than_a_block_is_refused() -> None:
    with pytest.raises(ValueError, match="65 bytes"):
        blake3_of_block(bytes(65))


def test_addresses_of_mycelium_are_the_digest_of_the_key_in_the_range_of_the_network() -> None:
    """The first byte is 4, or 5 where that of the digest has an odd number of ones; all others are the digest's."""
    made = make(MyceliumKey(), inputs())
    key = X25519PrivateKey.from_private_bytes(made["key"].reveal())
    public = bytes.fromhex("abd16194646defe7ad2318a0f0a69eb2e3fe939c3b0b51cf0bb88bb8028ecd1d")

    assert str(mycelium_address(public)) == "597:d890:a254:dd45:2bc6:9a47:40d5:ed83"
    assert key.public_key().public_bytes_raw().hex() == text(made, "pubkey")
    assert str(mycelium_address(bytes.fromhex(text(made, "pubkey")))) == text(made, "ip")


@needs("syncthing")
def test_syncthing_reads_the_certificate_and_shows_the_same_id(tmp_path: Path) -> None:
    made = make(SyncthingIdentity(), inputs())
    for name, file in (("cert", "cert.pem"), ("key", "key.pem")):
        (tmp_path / file).write_bytes(made[name].reveal())

    assert output_of("syncthing", "--home", tmp_path, "--device-id").strip() == text(made, "id")


def test_a_network_of_zerotier_is_called_after_its_controller() -> None:
    kind = ZeroTierNetwork(controller="zerotier")
    made = make(kind, inputs(zerotier={"zerotier-address": Secret("a1b2c3d4e5")}))

    assert text(made, "zerotier-network-id").startswith("a1b2c3d4e5")
    assert len(text(made, "zerotier-network-id")) == 16
    with pytest.raises(GeneratorFailedError, match="no address of ZeroTier"):
        make(kind, inputs(zerotier={"zerotier-address": Secret("nonsense")}))


def test_a_web_server_lets_in_who_has_the_password() -> None:
    made = make(BasicAuth(user="loki"), inputs())
    user, _, hashed = text(made, "htpasswd").strip().partition(":")

    assert user == "loki"
    assert verify(made["password"], hashed)

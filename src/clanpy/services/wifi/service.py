"""Wireless networks: their names and passwords are asked for once, and every machine of the role can join them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from clanpy.services.declaration import Member, Role, Service, Static
from clanpy.services.generator import SECRET, Generator, Prompt, PromptDisplay
from clanpy.services.settings import Field, Settings


NAME_FILE, PASSWORD_FILE = "network-name", "password"
_UNIT = "clanpy-wifi.service"


class Wifi(Settings):
    """One network."""

    enable: bool = Field(True, description="Whether machines join it")
    auto_connect: bool = Field(True, description="Join it as soon as it is there")
    key_mgmt: Literal["wpa-psk", "sae", "none"] = Field(
        "wpa-psk",
        description="How it is protected: WPA2 or both (`wpa-psk`), WPA3 only (`sae`), or not at all (`none`)",
    )
    hidden: bool = Field(False, description="It does not say its name")


class Default(Settings):
    """The networks that a machine can join."""

    networks: dict[str, Wifi] = Field(
        default_factory=dict,
        description="The networks, by what they are called in the fleet: their real names are values to generate",
    )


def network_generator(network: str) -> str:
    """The generator of a network's name and password."""
    return f"wifi.{network}"


def _generators(member: Member) -> Iterator[Generator]:
    if member.machine.class_ != "nixos":
        return
    for name, network in sorted(member.settings.networks.items()):
        group = PromptDisplay(group=f"Wifi {name}")
        prompts = {NAME_FILE: Prompt(description=f"The name (SSID) of the wifi '{name}'", persist=True, display=group)}
        if network.key_mgmt != "none":
            asked = f"The password of the wifi '{name}'"
            prompts[PASSWORD_FILE] = Prompt(type="hidden", description=asked, persist=True, display=group)
        files = {file: replace(SECRET, restart_units=(_UNIT,)) for file in prompts}
        yield Generator(name=network_generator(name), share=True, prompts=prompts, files=files)


def _more(member: Member) -> Mapping[str, Any]:
    """The networks in use: what stands for the name and password of each, and where these are on the host."""
    wanted = [(name, network) for name, network in sorted(member.settings.networks.items()) if network.enable]
    return {"wanted": [_entry(member, n, name, network) for n, (name, network) in enumerate(wanted)]}


def _entry(member: Member, n: int, name: str, network: Wifi) -> dict[str, Any]:
    is_protected = network.key_mgmt != "none"
    generator = network_generator(name)
    return {
        "id": name,
        "autoConnect": network.auto_connect,
        "hidden": network.hidden,
        "keyMgmt": network.key_mgmt if is_protected else None,
        "nameVariable": f"wifi_{n}_ssid",
        "nameFile": member.path(generator, NAME_FILE),
        "passwordVariable": f"wifi_{n}_psk" if is_protected else None,
        "passwordFile": member.path(generator, PASSWORD_FILE) if is_protected else None,
    }


SERVICE = Service(
    name="wifi",
    description="Wireless networks that machines join by themselves, with names and passwords that only they can read",
    roles={
        "default": Role(
            description="Machines with a wireless interface",
            settings=Default,
            nixos=(Static("wifi.nix", more=_more),),
            notes={"darwin": "macOS keeps wireless networks in its own keychain"},
            generators=_generators,
        )
    },
)

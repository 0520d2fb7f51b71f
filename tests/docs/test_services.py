"""The page about writing services shows one that works."""

from __future__ import annotations

import re
from pathlib import Path

from clanpy.inventory.trial import trial
from support.fleets import REFERENCE, write


PAGE = (REFERENCE / "docs" / "writing-services.md").read_text(encoding="utf-8")


def test_the_service_on_the_page_works(tmp_path: Path) -> None:
    found = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert found
    write(tmp_path, {"mesh/service.py": found[1]})

    tried = trial(tmp_path / "mesh", "peer", {"endpoint": "one.example.org"})
    interface = tried.data["networking"]["wireguard"]["interfaces"]["mesh"]
    assert interface == {"listenPort": 51820, "privateKeyFile": "/run/secrets/vars/mesh-mesh/privatekey", "peers": []}
    assert [generator.name for generator in tried.host.generators] == ["mesh-mesh"]

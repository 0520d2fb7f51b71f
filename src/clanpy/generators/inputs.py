"""What a generator is given when it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from clanpy.generators.errors import GeneratorFailedError
from clanpy.secrets import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Everything that a generator may use.

    Attributes:
        name: for messages: `<machine>/<generator>` or `shared/<generator>`.
        machine: the machine it runs for, None when it is shared.
        dependencies: the values of the generators that it needs, by generator and file.
        prompts: the answers, by prompt.
        now: the time of the run.
    """

    name: str
    machine: str | None
    now: datetime
    dependencies: Mapping[str, Mapping[str, Secret]] = field(default_factory=dict)
    prompts: Mapping[str, Secret] = field(default_factory=dict)

    def need(self, generator: str, file: str) -> Secret:
        """One value of another generator.

        Raises:
            GeneratorFailedError: that generator makes no such file.
        """
        files = self.dependencies.get(generator, {})
        if file not in files:
            raise GeneratorFailedError(
                f"{self.name} needs {file!r} of generator {generator!r}, which makes {', '.join(sorted(files)) or 'nothing'}"
            )
        return files[file]


Outputs = Mapping[str, Secret]

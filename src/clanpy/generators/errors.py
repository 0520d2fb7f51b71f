"""What goes wrong with vars: one class a cause, codes CP0620 to CP0639. No message ever holds a value.

VarsError
├── GeneratorInvalidError    a declaration makes no sense
├── GeneratorCycleError      generators need each other in a circle
├── GeneratorFailedError     running one failed
│   └── OutputsError         it made other files than it declares
├── PromptNeededError        a question has to be answered, and nobody is there to do so
├── SandboxMissingError      scripts can't be run safely here
├── VarNotFoundError         no generator declares such a value, or it was not generated yet
├── MovedError               the fleet's values changed while questions were being answered
└── UnhealthyError           some values can't be used as they are
"""

from __future__ import annotations

from clanpy.errors import ExitCode
from clanpy.services.errors import GeneratorInvalidError, VarsError


__all__ = [
    "GeneratorCycleError",
    "GeneratorFailedError",
    "GeneratorInvalidError",
    "MovedError",
    "OutputsError",
    "PromptNeededError",
    "SandboxMissingError",
    "UnhealthyError",
    "VarNotFoundError",
    "VarsError",
]


class GeneratorCycleError(VarsError):
    """Generators need each other in a circle."""

    code = "CP0622"
    exit_code = ExitCode.FLEET_INVALID


class GeneratorFailedError(VarsError):
    """A generator did not make its values. Nothing of the run was written."""

    code = "CP0623"


class OutputsError(GeneratorFailedError):
    """A generator made other files than it declares."""

    code = "CP0624"


class PromptNeededError(VarsError):
    """A question has to be answered, and nobody can be asked."""

    code = "CP0625"
    exit_code = ExitCode.USAGE


class SandboxMissingError(VarsError):
    """There is no sandbox here to run a script in."""

    code = "CP0626"
    exit_code = ExitCode.TOOL_MISSING


class VarNotFoundError(VarsError):
    """There is no such value."""

    code = "CP0627"
    exit_code = ExitCode.NOTHING_MATCHED


class MovedError(VarsError):
    """The fleet's values changed while this run was being prepared."""

    code = "CP0629"
    exit_code = ExitCode.CONFLICT


class UnhealthyError(VarsError):
    """Some values are missing, outdated or readable by others than they should be."""

    code = "CP0630"

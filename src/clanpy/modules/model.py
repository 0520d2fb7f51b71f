"""The door to pydantic models, which are not loaded unless somebody has one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clanpy.modules.types.base import Type


if TYPE_CHECKING:
    from pydantic import BaseModel


def model(cls: type[BaseModel]) -> Type:
    """A submodule type whose options are the fields of a pydantic model.

    Constraints, defaults, descriptions, examples and aliases are kept; `extra="allow"` lets in what has no field. Values stay
    as they were written (JSON data): make an instance with `cls.model_validate(to_data(value), by_name=True)`. Validators of the model's own
    are run when the value is looked at, and what they say is an error of the option.
    """
    from clanpy.modules.pydantic_model import of_model  # noqa: PLC0415  # the library is slow to load

    return of_model(cls)

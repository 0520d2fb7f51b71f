"""Settings declared as options of the module system, for those who know them from Nix: types, submodules and defaults as there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, create_model

from clanpy.modules import MISSING, ModuleError, Option, evaluate, to_data
from clanpy.services.settings import Settings


def from_options(options: Mapping[str, Any], *, name: str = "Options", doc: str = "") -> type[Settings]:
    """A model of settings from options.

        settings = from_options({"port": option(types.port, default=22, description="Where it listens")})

    Args:
        options: name → option, or a table of further ones. Each option stands for itself: a computed default can't ask for others.
        name: what the model is called.
        doc: what the settings are for.
    """
    fields = {key: _field(key, declared) for key, declared in options.items()}
    made: type[Settings] = create_model(name, __base__=Settings, __doc__=doc, **fields)
    return made


def _field(key: str, declared: Any) -> Any:
    if not isinstance(declared, Option):
        inner = from_options(declared, name=key)
        needs = any(info.is_required() for info in inner.model_fields.values())
        return inner, Field() if needs else Field(default_factory=inner)
    kind = declared.type.description if declared.type is not None else "anything"
    more: dict[str, Any] = {"description": declared.description, "json_schema_extra": {"type_text": kind}}
    value = Annotated[Any, BeforeValidator(partial(_merged, key, declared))]
    if declared.default is MISSING:
        return value, Field(**more)
    return value, Field(default_factory=partial(_default, key, declared), **more)


def _merged(key: str, declared: Option, value: Any) -> Any:
    """A value as the option's type has it, with the defaults of submodules.

    Raises:
        ValueError: it is not of that type; pydantic wants to be told so.
    """
    try:
        return to_data(evaluate([{"options": {key: declared}}, {"config": {key: value}}]).config[key])
    except ModuleError as error:
        raise ValueError(error.message.replace("`", "'")) from None


def _default(key: str, declared: Option) -> Any:
    return to_data(evaluate([{"options": {key: declared}}]).config[key])

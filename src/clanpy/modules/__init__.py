"""The semantics of the nixpkgs module system in Python: a library of its own, which knows nothing of fleets.

from clanpy.modules import evaluate, mk_force, option, types

result = evaluate([
    {"options": {"port": option(types.port, default=22)}},
    {"port": mk_force(2222)},
])
result.config.port  # 2222
"""

from __future__ import annotations

from clanpy.modules import types
from clanpy.modules.data import to_data
from clanpy.modules.errors import (
    ClassMismatchError,
    ComputationError,
    ConflictError,
    ConversionError,
    DeclarationError,
    EvaluationError,
    InfiniteRecursionError,
    LoadError,
    MissingArgumentError,
    MissingAttributeError,
    ModuleError,
    Place,
    ReadOnlyError,
    RemovedOptionError,
    ShapeError,
    TypeMismatchError,
    UnknownOptionError,
    UnsetOptionError,
    WrapperError,
)
from clanpy.modules.evaluate import Result, evaluate
from clanpy.modules.lazy import Lazy, force, lazy
from clanpy.modules.merge import MISSING
from clanpy.modules.model import model
from clanpy.modules.nix_encoding import to_nix_module
from clanpy.modules.options import Option, constant, mk_enable_option, mk_option, option
from clanpy.modules.priority import (
    mk_after,
    mk_before,
    mk_default,
    mk_definition,
    mk_force,
    mk_if,
    mk_image_media_override,
    mk_merge,
    mk_option_default,
    mk_order,
    mk_override,
    mk_vm_override,
)
from clanpy.modules.rename import (
    do_rename,
    mk_alias_option_module,
    mk_changed_option_module,
    mk_merged_option_module,
    mk_removed_option_module,
    mk_renamed_option_module,
)
from clanpy.modules.resolve import origins, resolve
from clanpy.modules.show import parse_path, show_path
from clanpy.modules.types.base import Type, mk_option_type


__all__ = [
    "MISSING",
    "ClassMismatchError",
    "ComputationError",
    "ConflictError",
    "ConversionError",
    "DeclarationError",
    "EvaluationError",
    "InfiniteRecursionError",
    "Lazy",
    "LoadError",
    "MissingArgumentError",
    "MissingAttributeError",
    "ModuleError",
    "Option",
    "Place",
    "ReadOnlyError",
    "RemovedOptionError",
    "Result",
    "ShapeError",
    "Type",
    "TypeMismatchError",
    "UnknownOptionError",
    "UnsetOptionError",
    "WrapperError",
    "constant",
    "do_rename",
    "evaluate",
    "force",
    "lazy",
    "mk_after",
    "mk_alias_option_module",
    "mk_before",
    "mk_changed_option_module",
    "mk_default",
    "mk_definition",
    "mk_enable_option",
    "mk_force",
    "mk_if",
    "mk_image_media_override",
    "mk_merge",
    "mk_merged_option_module",
    "mk_option",
    "mk_option_default",
    "mk_option_type",
    "mk_order",
    "mk_override",
    "mk_removed_option_module",
    "mk_renamed_option_module",
    "mk_vm_override",
    "model",
    "option",
    "origins",
    "parse_path",
    "resolve",
    "show_path",
    "to_data",
    "to_nix_module",
    "types",
]

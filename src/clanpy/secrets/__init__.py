"""Secrets: who may read what, encrypting, decrypting, and files that change as a whole or not at all.

A library of its own: it knows age, the sops format and clan's layout on disk, and nothing of fleets or hosts.
"""

from clanpy.secrets.access import AccessFolder, PublicKey
from clanpy.secrets.age import Identity
from clanpy.secrets.agestore import AgeStore
from clanpy.secrets.keyring import Keyring, load_keyring
from clanpy.secrets.layout import Placement, Reader, ReaderKind, Scope, VarId
from clanpy.secrets.plainstore import PlainStore, plain_store
from clanpy.secrets.store import Access, Regrant, SecretStore, SopsStore
from clanpy.secrets.transaction import Transaction, Tree
from clanpy.secrets.value import Secret
from clanpy.secrets.varstore import Stored, VarStore, validation_hash


__all__ = [
    "Access",
    "AccessFolder",
    "AgeStore",
    "Identity",
    "Keyring",
    "Placement",
    "PlainStore",
    "PublicKey",
    "Reader",
    "ReaderKind",
    "Regrant",
    "Scope",
    "Secret",
    "SecretStore",
    "SopsStore",
    "Stored",
    "Transaction",
    "Tree",
    "VarId",
    "VarStore",
    "load_keyring",
    "plain_store",
    "validation_hash",
]

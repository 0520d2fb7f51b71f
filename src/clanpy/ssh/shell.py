"""The text that a target's login shell is given: one command, quoted for any shell, that ends when its connection ends.

sshd kills nothing when a channel closes, and sends no signals for root. So standard input, which closes with the channel
whatever happens, is the life line: a reader in the background ends the process group when it sees the end of it. At a normal
end the shell (`$$`) is gone before sshd closes the channel, so what was left running on purpose is spared; so is what made a
session of its own (setsid, systemd-run). The reader is the builtin `read`, because `cat` would cost a process.
"""

from __future__ import annotations

import re
from collections.abc import Sequence


Command = str | Sequence[str]

GRACE_SECONDS = 2
SHOWN_COMMAND = 200

# The first line of a command that runs as another account: what came before is sudo's, what comes after the command's.
GREETING = "clanpy: here we are"

# A login over SSH that is no terminal often has a PATH without Nix (macOS, Debian) or without sudo (NixOS).
EXTRA_PATH = (
    "/run/wrappers/bin:/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin:"
    "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
)
_PATH = f"PATH=${{PATH:+$PATH:}}{EXTRA_PATH}; export PATH\n"

_PLAIN = re.compile(r"[A-Za-z0-9@%+=:,./_-]+")
_QUOTE, _BACKSLASH = "'\"'\"'", "'\"\\\\\"'"

_GO_HOME = 'cd "$HOME" 2>/dev/null || cd /\n'

_WATCH = (
    "while read -r _; do :; done; "
    f"kill -0 $$ && {{ trap '' TERM; kill -TERM 0; sleep {GRACE_SECONDS}; kill -KILL 0; }}; "
)


def quote(word: str) -> str:
    """One word, quoted so that POSIX shells and fish read the same: fish knows backslashes within single quotes."""
    if _PLAIN.fullmatch(word):
        return word
    # What a replacement brings in must not be replaced again. Whole scripts come here: it has to be quick.
    parts = [part.replace("'", _QUOTE) for part in word.split("\\")]
    return f"'{_BACKSLASH.join(parts)}'"


def script(command: Command) -> str:
    """A command as text for /bin/sh. A string is taken as it is; words are quoted, and replace the shell."""
    return command if isinstance(command, str) else f"exec {' '.join(map(quote, command))}"


def guarded(command: Command, input_size: int = 0) -> str:
    """The script that runs a command with its life line. It is fed exactly `input_size` bytes, after which nothing may follow."""
    if not input_size:
        start = f"exec 3<&0 </dev/null\n{{ {_WATCH}}} <&3 >/dev/null 2>&1 &\nexec 3<&-\n"
        return start + script(command)
    # The reader is a background job of the left side: a shell waits for all sides of a pipeline, and the reader ends last.
    feed = f"{{ {{ head -c {input_size}; exec >/dev/null; {_WATCH}}} <&3 2>/dev/null & }}"
    return f"exec 3<&0 </dev/null\n{feed} | {{ exec 3<&-\n{script(command)}\n}}"


def remote(text: str, become: Sequence[str] = ()) -> str:
    """The line for the login shell, whichever that is: runs `text` under /bin/sh, behind the words that change the user.

    As another account, the command starts in that account's home.
    """
    inner = _PATH + text
    if become:
        words = (*become, "/bin/sh", "-c", f"echo {quote(GREETING)}\n{_GO_HOME}{inner}")
        inner = f"{_PATH}exec {' '.join(map(quote, words))}"
    return f"exec /bin/sh -c {quote(inner)}"


def shown(command: Command) -> str:
    """A command as one line of bounded length, for messages. A script that begins with a comment is called by that."""
    text = command if isinstance(command, str) else script(command).removeprefix("exec ")
    if text.startswith("# "):
        return text.partition("\n")[0].removeprefix("# ")[:SHOWN_COMMAND]
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_COMMAND else line[: SHOWN_COMMAND - 1] + "…"

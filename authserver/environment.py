"""Where settings come from: the environment, `.env`, and the secret that a development server makes for itself."""

import os
import re
import secrets
from contextlib import suppress
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

PREFIX = "AUTHSERVER_"
NAME = re.compile(r"\w+", re.A)  # of a variable


class SettingsError(Exception):
    """Why the server cannot start, for the operator: one sentence for each thing that is wrong."""

    def __init__(self, *sentences: str) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = sentences

    @property
    def report(self) -> str:
        """The text that a process prints before it ends, a line for each sentence."""
        return "\n".join(f"authserver: {sentence}" for sentence in self.sentences)


def environment() -> dict[str, str]:
    """Our variables, of `.env` in the working directory and of the environment, which wins; an empty one is none."""
    both = {**_env_file(Path(".env")), **{name: value for name, value in os.environ.items() if value}}
    return {name: value for name, value in both.items() if is_ours(name) and value}


def is_ours(name: str) -> bool:
    """Tells whether a variable is meant for this server, also where its name is not in capitals."""
    return name.upper().startswith(PREFIX)


def _env_file(path: Path) -> dict[str, str | None]:
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, IsADirectoryError):
        return {}
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", "it is not UTF-8")
        raise SettingsError(f"the file {path.absolute()} cannot be read: {reason}") from None
    wrong = [_first_line(one) for one in parse_stream(StringIO(text)) if _is_unreadable(one)]
    if wrong:
        expected = "expected NAME=value, with a quote at both ends of the value or at none"
        raise SettingsError(*(f"{path.absolute()}, line {line}: cannot be read, {expected}" for line in wrong))
    return dotenv_values(stream=StringIO(text))


def _is_unreadable(line: Binding) -> bool:
    """Tells it of one entry: the library reads a name without a value, with any sign in it, and quoted line ends.

    So `AUTHSERVER_SECRET_KEY:abc` would be a name, and a quote that is never closed would take in the next setting.
    """
    if line.error or not line.key or not is_ours(line.key):
        return line.error
    return line.value is None or not NAME.fullmatch(line.key) or f"\n{PREFIX}" in line.value


def _first_line(line: Binding) -> int:
    text = line.original.string
    return line.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def private_folder(path: Path) -> None:
    """Makes the folder, and whichever is missing above it, for this user alone; raises `OSError`."""
    for folder in (*reversed(path.parents), path):
        folder.mkdir(mode=0o700, exist_ok=True)


def private_file(path: Path) -> None:
    """Makes an empty file, where there is none, for this user alone, whatever the umask; raises `OSError`."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def open_to_others(path: Path) -> bool:
    """Tells whether any user of this machine may read or change the file; its group is the operator's choice."""
    try:
        return bool(path.stat().st_mode & 0o007)
    except OSError:
        return False


def development_secret(instance: Path) -> str:
    """The secret of a development server, made once; whoever else starts at the same time gets the same one."""
    path = instance / "secret_key"
    try:
        private_folder(instance)
        if not path.exists():
            draft = instance / f".secret_key.{os.getpid()}.{secrets.token_hex(4)}"
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(48))
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", "secret_key is not text")
        raise SettingsError(
            f"{PREFIX}INSTANCE_PATH: the development secret {path.absolute()} cannot be read or made ({reason}), "
            "expected a folder that this user may write to"
        ) from None

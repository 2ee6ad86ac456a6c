"""Calls made ready: everything about a reaction's version that does not change from job to job.

A version never changes, so what is made from it may be kept; the least recently used go first. The
signing secrets are the reaction's own, whatever the version, and are counted apart.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from delivery.engine.runners.templated_requests import About, TemplatedRequest, facts_of
from delivery.engine.yielding import LoopYielder
from delivery.errors import MissingKey
from delivery.http.redirects import Redirects
from delivery.http.tls.contexts import with_minimum
from delivery.message.redaction.by_name import may_have_secret_names, redact_query, redact_url
from delivery.message.redaction.declared_credentials import declared_secrets, declares_secret_body
from delivery.message.redaction.scrubber import Scrubber, secrets_in_call, secrets_in_value
from delivery.message.request.template import RequestTemplate
from delivery.message.request.url import add_query, parse_url
from delivery.message.signing.stored_secrets import decode_signing, signer_for
from delivery.message.storage.calls import StoredCall, decode_params
from delivery.message.storage.encryption import Cipher
from delivery.message.storage.payloads import decrypt_payload
from delivery.message.template.decoded_payload import DecodedPayload
from delivery.message.template.filling import compile_call, plain_url
from delivery.message.template.parsing import has_placeholders
from delivery.observe.repeated_logs import RepeatedLogs
from delivery.observe.secret_filter import register_scrubber
from delivery.policy.outcome import OutcomeRules, compile_actions
from delivery.policy.retry import validate_policy
from delivery.store import reactions
from delivery.store.driver.failures import is_passing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from delivery.message.request.template import Rendered
    from delivery.message.request.url import Endpoint
    from delivery.message.signing import ExpiringSigner, Signer
    from delivery.message.template.filling import Facts
    from delivery.models import Body, HttpParams, RetryPolicy
    from delivery.settings import HttpSettings
    from delivery.store.driver.connection import Executor
    from delivery.store.queue import ClaimedJob
    from delivery.store.reactions import StoredVersion

    _Key = tuple[UUID, int, int]
    """A reaction, its version, and that of its signing secrets."""

__all__ = ["PreparedCall", "PreparedCalls", "UnreadableCall", "prepare", "prepare_stored"]

T = TypeVar("T")

logger = logging.getLogger(__name__)

_KEPT: Final = 20_000
_NO_KEYS: Final = Cipher()


class UnreadableCall(Exception):
    """The database does not give a version of a reaction; its jobs wait."""


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """A call but for the job's own id, time and payload."""

    endpoint: Endpoint
    method: str
    redacted_url: str
    """The URL as it may be stored."""
    template: RequestTemplate
    rules: OutcomeRules
    policy: RetryPolicy
    timeout: float
    connect_timeout: float
    concurrency: int | None
    scrubber: Scrubber | None = None
    """Finds what is secret in the call, wherever else it stands; None: nothing is."""
    cipher: Cipher = _NO_KEYS
    """Opens payloads that were encrypted."""
    redirects: Redirects | None = None
    """Follows redirects; None: none is followed."""
    templated: TemplatedRequest | None = None
    """Makes the requests instead of `template`, where the call has placeholders."""
    computes: bool = False
    """Whether it may take long to make the request of a job, or its log row."""

    def render(self, job: ClaimedJob, now: float) -> Rendered:
        """The request of one attempt at a job.

        Raises:
            TemplateError: if a placeholder cannot be filled in.
            MissingKey: if the payload was encrypted with a key that is not here.
        """
        message_id, timestamp = f"msg_{job.message_id.hex}", int(now)
        payload = job.payload or b""
        # No JSON begins with it, but `encrypted:` does.
        encrypted = payload[:1] == b"e"
        if not encrypted and self.templated is None:
            # This is what nearly all calls are.
            return self.template.render(
                message_id, timestamp, job.event_type or "", job.created_at, payload
            )
        if encrypted:
            payload = decrypt_payload(payload, self.cipher)
        decoded = DecodedPayload(payload)
        if self.templated is not None:
            facts = facts_of(job, self.templated.about)
            rendered = self.templated.render(facts, message_id, timestamp, payload, decoded)
        else:
            rendered = self.template.render(
                message_id, timestamp, job.event_type or "", job.created_at, payload
            )
        return self._hiding(rendered, payload, decoded)

    def render_for(self, facts: Facts, message_id: str, timestamp: int, payload: bytes) -> Rendered:
        """The same for what is not a claimed job."""
        decoded = DecodedPayload(payload)
        if self.templated is not None:
            rendered = self.templated.render(facts, message_id, timestamp, payload, decoded)
        else:
            rendered = self.template.render(
                message_id, timestamp, facts.trigger_type or "", facts.created_at, payload
            )
        return self._hiding(rendered, payload, decoded)

    def _hiding(self, rendered: Rendered, payload: bytes, decoded: DecodedPayload) -> Rendered:
        """The same, with what is secret in the payload hidden wherever it was put."""
        if not decoded.is_decoded and not may_have_secret_names(payload):
            return rendered
        scrubber = Scrubber(secrets_in_value(decoded.value))
        if not scrubber:
            return rendered
        known = rendered.scrubber or self.scrubber
        if known is not None:
            scrubber = known.plus(scrubber)
        redacted_url = rendered.redacted_url or self.redacted_url
        return rendered._replace(
            scrubber=scrubber,
            stored_head=scrubber.scrub(rendered.stored_head),
            redacted_url=scrubber.scrub_text(redacted_url),
        )


def prepare(
    params: HttpParams,
    settings: HttpSettings,
    signer: Signer | ExpiringSigner | None = None,
    *,
    about: About | None = None,
    secrets: Iterable[str] = (),
    cipher: Cipher = _NO_KEYS,
) -> PreparedCall:
    """Make a call ready.

    Args:
        params: A valid call.
        settings: Give what it leaves open.
        signer: Signs; None: the secrets of `params` do, if there are any.
        about: What placeholders may name of the reaction; None: it is a direct job's.
        secrets: What is secret beside what is in `params`: what `signer` signs with.
        cipher: Opens the payloads of jobs.

    Raises:
        DeliveryError: if the call cannot be made as it is given.
    """
    tls = with_minimum(params.tls, settings.tls_minimum_version)
    secrets = tuple(secrets)
    endpoint, target = parse_url(plain_url(params.url), tls=tls)
    known = [*secrets, *secrets_in_call(params)]
    scrubber = Scrubber(known) if known else None
    redacted_url = redact_url(params.url)
    call = compile_call(params)
    templated = None
    if call is not None:
        templated = TemplatedRequest(
            params,
            call,
            endpoint,
            settings.user_agent,
            signer,
            about or About(),
            scrubber,
            has_secrets=any(map(has_placeholders, known)) or _may_have_secrets(params.body),
            secrets=tuple(known),
        )
    elif params.query:
        target = add_query(target, params.query)
        redacted_url = f"{endpoint.scheme}://{endpoint.host_header}{redact_query(target)}"
    timeout, connect_timeout = _timeouts(params, settings)
    return PreparedCall(
        endpoint=endpoint,
        method=params.method,
        redacted_url=redacted_url if scrubber is None else scrubber.scrub_text(redacted_url),
        template=RequestTemplate(
            params,
            host=endpoint.host_header,
            target=target,
            stored_target=redact_query(target),
            user_agent=settings.user_agent,
            signer=signer,
            scrubber=scrubber,
        ),
        rules=compile_actions(params.status_actions),
        # Also one that was stored by hand: judging a result must not fail.
        policy=validate_policy(params.retry),
        timeout=timeout,
        connect_timeout=connect_timeout,
        concurrency=params.concurrency,
        scrubber=scrubber,
        cipher=cipher,
        redirects=_redirects(params, tls.minimum_version, secrets) if params.redirects else None,
        templated=templated,
        computes=templated is not None or params.compression is not None,
    )


def _timeouts(params: HttpParams, settings: HttpSettings) -> tuple[float, float]:
    """Return the seconds for a whole exchange, and for its connection."""
    timeout = settings.timeout if params.timeout is None else params.timeout
    connect = settings.connect_timeout if params.connect_timeout is None else params.connect_timeout
    return timeout, min(connect, timeout)


def _redirects(params: HttpParams, oldest_tls: str | None, secrets: Iterable[str]) -> Redirects:
    declared = Scrubber([*secrets, *declared_secrets(params)])
    return Redirects(params.redirects, oldest_tls, declared, declares_secret_body(params.body))


def prepare_stored(stored: StoredVersion, settings: HttpSettings, cipher: Cipher) -> PreparedCall:
    """Make the call of a reaction's version ready, with the reaction's signing secrets.

    Raises:
        DeliveryError: if the call cannot be made as it is given, or a key is missing.
        KeyError, TypeError, ValueError: if it is not stored as it should be.
    """
    signing = decode_signing(stored.signing, cipher)
    return prepare(
        decode_params(stored.call, cipher),
        settings,
        signer_for(signing),
        about=About(stored.name, stored.area_id),
        secrets=[each.secret for each in signing],
        cipher=cipher,
    )


def _may_have_secrets(body: Body) -> bool:
    """Whether a text may have secrets in it once its placeholders are filled in."""
    text = body.content
    return isinstance(text, str) and has_placeholders(text) and may_have_secret_names(text.encode())


class PreparedCalls:
    """The calls of reaction versions, each read and made ready once."""

    def __init__(self, executor: Executor, settings: HttpSettings, cipher: Cipher) -> None:
        self._executor = executor
        self._settings = settings
        self._cipher = cipher
        self._calls: OrderedDict[_Key, PreparedCall | Exception] = OrderedDict()
        self._failures = RepeatedLogs(logger)
        self._breather = LoopYielder()

    async def load(self, jobs: Iterable[ClaimedJob]) -> None:
        """Read the versions these jobs need and that are not here yet.

        Raises:
            DatabaseError: if they cannot be read; the jobs must wait.
        """
        wanted = {
            (job.reaction_id, job.reaction_version or 0, job.signing_version or 0)
            for job in jobs
            if job.reaction_id is not None
        }
        # A call that could not be read or decrypted before may have been repaired since.
        missing = {
            key
            for key in wanted
            if key not in self._calls or isinstance(self._calls[key], (MissingKey, UnreadableCall))
        }
        if missing:
            await self._load_all(missing)
        while len(self._calls) > _KEPT:
            self._calls.popitem(last=False)

    async def _load_all(self, missing: set[_Key]) -> None:
        """Read these, and each apart if one of them keeps the others from being read."""
        try:
            stored = await reactions.load_versions(self._executor, {key[:2] for key in missing})
        except Exception as error:
            if is_passing(error):
                raise
            if len(missing) > 1:
                for key in missing:
                    await self._load_all({key})
                return
            ((reaction_id, version, _),) = missing
            self._failures.error(
                f"version {version} of reaction {reaction_id} cannot be read: {error};"
                " its jobs wait until it can"
            )
            self._calls.update(dict.fromkeys(missing, UnreadableCall(str(error))))
            return
        self._breather.begin()
        for key in missing:
            # Signing secrets newer than those that were current at the claim are as good.
            found = stored.get(key[:2])
            if found is None:
                self._calls[key] = LookupError("the reaction's version is not in the database")
            else:
                self._calls[key] = self._attempt(prepare_stored, found)
                await self._breather.take()

    def get(self, job: ClaimedJob) -> PreparedCall | Exception:
        """The job's call, or why there is none; `load` must have been called for the job."""
        if job.reaction_id is None:
            if job.params is None or job.credentials is None:
                return LookupError("what the direct job sends is not in the database")
            return self._attempt(_prepare_direct, StoredCall(job.params, job.credentials))
        key = (job.reaction_id, job.reaction_version or 0, job.signing_version or 0)
        try:
            self._calls.move_to_end(key)
        except KeyError:
            return LookupError("the reaction's version was not loaded")
        return self._calls[key]

    def _attempt(
        self, prepare_it: Callable[[T, HttpSettings, Cipher], PreparedCall], stored: T
    ) -> PreparedCall | Exception:
        # A row that cannot be read, whatever is wrong with it, must fail its jobs, not the worker.
        try:
            call = prepare_it(stored, self._settings, self._cipher)
        except Exception as error:  # noqa: BLE001
            return error
        if call.scrubber is not None:
            register_scrubber(call.scrubber, of_one_job=prepare_it is _prepare_direct)
        return call


def _prepare_direct(stored: StoredCall, settings: HttpSettings, cipher: Cipher) -> PreparedCall:
    return prepare(decode_params(stored, cipher), settings, cipher=cipher)

"""Prepared calls: the parts of a reaction's version that are the same for all its jobs.

A version never changes, so its prepared call is cached; the least recently used are evicted first.
The signing secrets belong to the reaction, not to a version, and have separate versions.
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
    from delivery.store.driver.connection import Queryable
    from delivery.store.queue import ClaimedJob
    from delivery.store.reactions import StoredVersion

    _Key = tuple[UUID, int, int]
    """Id of a reaction, its version, and the version of its signing secrets."""

__all__ = ["PreparedCall", "PreparedCalls", "UnreadableCall", "prepare", "prepare_stored"]

T = TypeVar("T")

logger = logging.getLogger(__name__)

_KEPT: Final = 20_000
_NO_KEYS: Final = Cipher()


class UnreadableCall(Exception):
    """Version of a reaction that cannot be read from the database; its jobs wait."""


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """Call without the id, the time and the payload of a job."""

    endpoint: Endpoint
    method: str
    redacted_url: str
    """Redacted URL, for storage."""
    template: RequestTemplate
    rules: OutcomeRules
    policy: RetryPolicy
    timeout: float
    connect_timeout: float
    concurrency: int | None
    scrubber: Scrubber | None = None
    """Scrubber of the secrets in the call. None without secrets."""
    cipher: Cipher = _NO_KEYS
    """Decrypts encrypted payloads."""
    redirects: Redirects | None = None
    """Follows redirects. None if redirects are not followed."""
    templated: TemplatedRequest | None = None
    """Makes the requests instead of `template` if the call has placeholders."""
    computes: bool = False
    """True if the request of a job, or its log row, may take long to make."""

    def render(self, job: ClaimedJob, now: float) -> Rendered:
        """Return the request of one attempt of a job.

        Raises:
            TemplateError: A placeholder cannot be filled in.
            MissingKey: The payload is encrypted with a key that is missing here.
        """
        message_id, timestamp = f"msg_{job.message_id.hex}", int(now)
        payload = job.payload or b""
        # Encrypted payloads begin with `encrypted:`, and no JSON with this letter.
        encrypted = payload[:1] == b"e"
        if not encrypted and self.templated is None:
            # Nearly all calls end here.
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
        return self._scrubbed(rendered, payload, decoded)

    def render_for(self, facts: Facts, message_id: str, timestamp: int, payload: bytes) -> Rendered:
        """Return the request of a trial call, which has no job."""
        decoded = DecodedPayload(payload)
        if self.templated is not None:
            rendered = self.templated.render(facts, message_id, timestamp, payload, decoded)
        else:
            rendered = self.template.render(
                message_id, timestamp, facts.trigger_type or "", facts.created_at, payload
            )
        return self._scrubbed(rendered, payload, decoded)

    def _scrubbed(self, rendered: Rendered, payload: bytes, decoded: DecodedPayload) -> Rendered:
        """Return the request with the secrets of the payload scrubbed in all stored parts."""
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
    """Prepare a call.

    Args:
        params: Valid call.
        settings: Defaults of options that the call leaves open.
        signer: Signs the requests.
        about: Fields of the reaction for placeholders. None for a direct job.
        secrets: Secrets that are not in `params`: those that `signer` signs with.
        cipher: Decrypts the payloads of jobs.

    Raises:
        DeliveryError: The call cannot be made with these parameters.
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
        # The policy may have been changed by hand, and the decision on a result must not fail.
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
    """Prepare the call of a reaction's version, with the reaction's signing secrets.

    Raises:
        DeliveryError: The call cannot be made with its parameters, or a key is missing.
        KeyError, TypeError, ValueError: The stored form is invalid.
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
    """Return whether a body may contain secrets once its placeholders are filled in."""
    text = body.content
    return isinstance(text, str) and has_placeholders(text) and may_have_secret_names(text.encode())


class PreparedCalls:
    """Cache of the prepared calls of reaction versions."""

    def __init__(self, executor: Queryable, settings: HttpSettings, cipher: Cipher) -> None:
        self._executor = executor
        self._settings = settings
        self._cipher = cipher
        self._calls: OrderedDict[_Key, PreparedCall | Exception] = OrderedDict()
        self._failures = RepeatedLogs(logger)
        self._yielder = LoopYielder()

    async def load(self, jobs: Iterable[ClaimedJob]) -> None:
        """Read the versions that these jobs need and that are not in the cache.

        Raises:
            DatabaseError: They cannot be read; the jobs must wait.
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
        """Read these versions, and each one alone if one of them makes the statement fail."""
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
                f"cannot read version {version} of reaction {reaction_id}: {error}; its jobs wait"
            )
            self._calls.update(dict.fromkeys(missing, UnreadableCall(str(error))))
            return
        self._yielder.begin()
        for key in missing:
            # Signing secrets may be newer than at the time of the claim.
            found = stored.get(key[:2])
            if found is None:
                self._calls[key] = LookupError("the reaction's version is not in the database")
            else:
                self._calls[key] = self._attempt(prepare_stored, found)
                await self._yielder.take()

    def get(self, job: ClaimedJob) -> PreparedCall | Exception:
        """Return the call of a job, or the reason why there is none; `load` must come first."""
        if job.reaction_id is None:
            if job.params is None or job.credentials is None:
                return LookupError("the call of the direct job is not in the database")
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
        # A row that cannot be read must fail its own jobs, not the worker.
        try:
            call = prepare_it(stored, self._settings, self._cipher)
        except Exception as error:  # noqa: BLE001
            return error
        if call.scrubber is not None:
            register_scrubber(call.scrubber, of_one_job=prepare_it is _prepare_direct)
        return call


def _prepare_direct(stored: StoredCall, settings: HttpSettings, cipher: Cipher) -> PreparedCall:
    return prepare(decode_params(stored, cipher), settings, cipher=cipher)

"""Requests of calls with placeholders, which are filled in for each job."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from delivery.message.redaction.by_name import redact_query
from delivery.message.redaction.scrubber import Scrubber, secrets_in_call
from delivery.message.request.template import RequestTemplate
from delivery.message.template.filling import Facts
from delivery.models import Body, BodyKind, HttpParams

if TYPE_CHECKING:
    from uuid import UUID

    from delivery.message.request.template import Rendered
    from delivery.message.request.url import Endpoint
    from delivery.message.signing import ExpiringSigner, Signer
    from delivery.message.template.decoded_payload import DecodedPayload
    from delivery.message.template.filling import CallTemplate
    from delivery.models import Reaction
    from delivery.store.queue import ClaimedJob

__all__ = ["About", "TemplatedRequest", "facts_from", "facts_of"]


@dataclass(frozen=True, slots=True)
class About:
    """Fields of a reaction for placeholders, except its id."""

    name: str | None = None
    area_id: str | None = None


@dataclass(frozen=True, slots=True)
class TemplatedRequest:
    """Template of the requests of a call with placeholders."""

    params: HttpParams
    call: CallTemplate
    endpoint: Endpoint
    user_agent: str
    signer: Signer | ExpiringSigner | None
    about: About
    scrubber: Scrubber | None
    """Scrubber of the secrets in the call outside of placeholders."""
    has_secrets: bool
    """True if placeholders are in places of secrets, so that each request has its own secrets."""
    secrets: tuple[str, ...]
    """Secrets of all requests."""

    def render(
        self,
        facts: Facts,
        message_id: str,
        timestamp: int,
        payload: bytes,
        decoded: DecodedPayload,
    ) -> Rendered:
        """Return the request of one attempt; `decoded` belongs to the payload.

        Raises:
            TemplateError: A placeholder cannot be filled in.
        """
        filled = self.call.fill(facts, decoded)
        origin = f"{self.endpoint.scheme}://{self.endpoint.host_header}"
        scrubber = self.scrubber
        if self.has_secrets:
            body = Body(BodyKind.RAW, (filled.body or b"").decode("utf-8", "replace"))
            call = HttpParams(origin + filled.target, headers=filled.headers, body=body)
            scrubber = Scrubber([*self.secrets, *secrets_in_call(call)])
        template = RequestTemplate(
            replace(self.params, headers=filled.headers),
            host=self.endpoint.host_header,
            target=filled.target,
            user_agent=self.user_agent,
            signer=self.signer,
            scrubber=scrubber,
            fixed_body=filled.body,
        )
        event_type = facts.trigger_type or ""
        rendered = template.render(message_id, timestamp, event_type, facts.created_at, payload)
        redacted_url = origin + redact_query(filled.target)
        if scrubber is not None:
            redacted_url = scrubber.scrub_text(redacted_url)
        return rendered._replace(redacted_url=redacted_url, scrubber=scrubber)


def facts_from(
    reaction: Reaction, *, job_id: UUID, trigger_id: UUID, event_type: str, now: float
) -> Facts:
    """Return the placeholder values of the first attempt of a trial call."""
    return Facts(
        reaction.tenant_id,
        job_id,
        1,
        reaction.params.retry.max_attempts,
        trigger_id,
        event_type,
        now,
        reaction.id,
        reaction.name,
        reaction.area_id,
    )


def facts_of(job: ClaimedJob, about: About) -> Facts:
    """Return the placeholder values of a claimed job."""
    return Facts(
        job.tenant_id,
        job.job_id,
        job.attempt + 1,
        job.max_attempts,
        job.trigger_id,
        job.event_type,
        job.created_at,
        job.reaction_id,
        about.name,
        about.area_id,
    )

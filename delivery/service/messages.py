"""Lookup of jobs and triggers by the `webhook-id` that a receiver quotes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.errors import NotFound
from delivery.models.message_ids import is_message_id_text
from delivery.service.checks import check_id, check_message_id
from delivery.store import jobs

if TYPE_CHECKING:
    from uuid import UUID

    from delivery.store.driver.connection import Queryable

__all__ = ["find_job", "find_trigger"]


async def find_job(executor: Queryable, value: UUID | str, tenant_id: str) -> UUID:
    """Return the id of a job, given its id or its `webhook-id`.

    Raises:
        InvalidInput: The value is neither a UUID nor a `webhook-id`.
        NotFound: No job sends this message.
    """
    if not isinstance(value, str) or not is_message_id_text(value):
        return check_id("job id", value)
    return (await _sender_of(executor, value, tenant_id)).job_id


async def find_trigger(executor: Queryable, value: UUID | str, tenant_id: str) -> UUID:
    """Return the id of a trigger, given its id or the `webhook-id` of one of its jobs.

    Raises:
        InvalidInput: The value is neither a UUID nor a `webhook-id`.
        NotFound: No job sends this message, or the job has no trigger.
    """
    if not isinstance(value, str) or not is_message_id_text(value):
        return check_id("trigger id", value)
    sender = await _sender_of(executor, value, tenant_id)
    if sender.trigger_id is None:
        message = f"message {value} was sent by the direct job {sender.job_id}, without a trigger"
        raise NotFound(message)
    return sender.trigger_id


async def _sender_of(executor: Queryable, value: str, tenant_id: str) -> jobs.Sender:
    found = await jobs.find_sender(executor, check_message_id(value), tenant_id)
    if found is None:
        message = f"no job in tenant {tenant_id!r} sends message {value}"
        raise NotFound(message)
    return found

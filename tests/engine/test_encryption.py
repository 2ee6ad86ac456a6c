"""Secrets are encrypted in the database, and revealed only on request."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import trustme

import delivery
from delivery import InvalidReaction, InvalidSetting, JobStatus, MissingKey, TlsOptions
from delivery.message.signing import generate_secret
from delivery.message.storage.encryption import generate_key
from delivery.testing import Receiver, Respond
from tests.support.conditions import until
from tests.support.engines import SECRET, engine_on, wait_for_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

URL = "https://example.test/hook"
KEY, OTHER_KEY = generate_key(), generate_key()
PRIVATE = generate_secret(delivery.SignatureKind.V1A)
PLANTED = "hunter2"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(default=Respond(200)) as running:
        yield running


@pytest.fixture(scope="module")
def tls() -> TlsOptions:
    issued = trustme.CA().issue_cert("client.test")
    return TlsOptions(
        client_certificate=issued.cert_chain_pems[0].bytes().decode(),
        client_key=issued.private_key_pem.bytes().decode(),
    )


def secret_call(url: str) -> dict[str, Any]:
    """Return a call with a secret in each possible place."""
    return {
        "url": f"{url}?access_token={PLANTED}&page=1",
        "headers": {"Authorization": f"Bearer {PLANTED}", "X-Plain": "shown"},
        "query": {"api_key": PLANTED},
        "secrets": [SECRET, PRIVATE],
    }


async def dump(url: str) -> str:
    """Read every column of every table as text, with decoded bytes."""
    connection = await asyncpg.connect(url)
    try:
        columns = await connection.fetch(
            "SELECT c.table_name, c.column_name, c.data_type FROM information_schema.columns c"
            " JOIN information_schema.tables t USING (table_schema, table_name)"
            " WHERE c.table_schema = 'delivery' AND t.table_type = 'BASE TABLE'"
        )
        parts = []
        for table, column, kind in columns:
            shown = f"encode(\"{column}\", 'escape')" if kind == "bytea" else f'"{column}"::text'
            rows = await connection.fetch(f'SELECT {shown} FROM delivery."{table}"')
            parts += [row[0] for row in rows if row[0] is not None]
        return "\n".join(parts)
    finally:
        await connection.close()


async def make_due(url: str) -> None:
    """Make all waiting jobs due."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "UPDATE delivery.waiting_jobs SET run_at = now() - interval '1 second'"
        )
    finally:
        await connection.close()


def assert_clean(text: str, *secrets: str) -> None:
    for secret in (PLANTED, SECRET, PRIVATE, *secrets):
        for part in (secret, secret.partition("_")[2]):
            assert not part or part not in text


async def test_the_whole_database_shows_nothing_that_is_secret(
    database_url: str, receiver: Receiver, tls: TlsOptions
) -> None:
    """After reactions, versions, direct jobs and deliveries of them all."""
    assert tls.client_key is not None
    body = {"kind": "json", "content": {"password": PLANTED, "name": "shown"}}
    async with engine_on(database_url, secrets={"keys": [KEY]}) as engine:
        reaction = await engine.reactions.create(
            name="r", tls=tls, **secret_call(receiver.url("/r"))
        )
        rotated = await engine.reactions.rotate_secret(reaction.id)
        trigger = await engine.trigger("x", 1)
        job = await engine.jobs.create(payload=1, **secret_call(receiver.url("/direct")))
        await engine.jobs.create(payload=1, delay=600, body=body, tls=tls, url=URL, secret=SECRET)
        async with engine.workers():
            await wait_for_all(engine, [*trigger.jobs, job.id])
        await engine.reactions.update(reaction.id, name="changed", body=body)
        for request in receiver.received:
            headers = dict(request.headers)
            assert headers["Authorization"] == f"Bearer {PLANTED}"
            assert f"access_token={PLANTED}" in request.target
            delivery.verify(request.body, request.headers, SECRET)
    text = await dump(database_url)
    assert "shown" in text
    assert "encrypted:1:" in text
    assert_clean(text, rotated.secret, tls.client_key.splitlines()[1])


async def test_a_reaction_contains_secrets_only_with_reveal(
    database_url: str, tls: TlsOptions
) -> None:
    async with engine_on(database_url, secrets={"keys": [KEY]}) as engine:
        made = await engine.reactions.create(name="r", tls=tls, **secret_call(URL))
        found = await engine.reactions.get(made.id)
        (listed,) = (await engine.reactions.list()).items
        assert found == made == listed
        for value in (made.params.url, made.params.headers, made.params.query, repr(made)):
            assert PLANTED not in str(value)
        assert made.params.headers == (("Authorization", "***"), ("X-Plain", "shown"))
        assert made.params.tls.client_key == "***"
        revealed = await engine.reactions.get(made.id, reveal=True)
        assert revealed.params.url == f"{URL}?access_token={PLANTED}&page=1"
        assert dict(revealed.params.headers)["Authorization"] == f"Bearer {PLANTED}"
        assert revealed.params.tls == tls
        assert revealed.params.secrets == (SECRET, PRIVATE)
        assert PLANTED not in repr(revealed)
        assert SECRET not in repr(revealed)


async def test_an_update_does_not_overwrite_a_secret_with_its_mask(
    database_url: str, tls: TlsOptions
) -> None:
    """Change other fields, or pass the redacted values back."""
    async with engine_on(database_url, secrets={"keys": [KEY]}) as engine:
        made = await engine.reactions.create(name="r", tls=tls, **secret_call(URL))
        before = (await engine.reactions.get(made.id, reveal=True)).params
        await engine.reactions.update(made.id, name="n", timeout=5, state="disabled")
        await engine.reactions.update(made.id, state="enabled")
        shown = (await engine.reactions.get(made.id)).params
        await engine.reactions.update(
            made.id,
            url=shown.url,
            headers=[*shown.headers, ("X-New", "1")],
            query=shown.query,
            body=shown.body,
            tls=shown.tls,
        )
        after = (await engine.reactions.get(made.id, reveal=True)).params
        assert after.url == before.url
        assert after.headers == (*before.headers, ("X-New", "1"))
        assert (after.query, after.tls, after.secrets) == (before.query, tls, before.secrets)
        for change in (
            {"headers": {"X-Other-Token": "***"}},
            {"url": "https://example.test/other?token=***"},
            {"body": {"kind": "json", "content": {"password": "***"}}},
        ):
            with pytest.raises(InvalidReaction, match="give the secret itself"):
                await engine.reactions.update(made.id, **change)
        with pytest.raises(InvalidReaction, match="give the secret itself"):
            await engine.reactions.create(name="r", url=URL, headers={"Cookie": "***"})
        assert (await engine.reactions.get(made.id, reveal=True)).params == after


async def test_jobs_whose_key_is_missing_wait_and_say_so_until_it_is_there(
    database_url: str, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Jobs that need no key are delivered meanwhile."""
    async with engine_on(database_url, secrets={"keys": [KEY]}) as engine:
        await engine.reactions.create(name="encrypted", url=receiver.url("/s"), secret=SECRET)
        await engine.reactions.create(
            name="header", url=receiver.url("/h"), headers={"Cookie": PLANTED}
        )
        await engine.reactions.create(name="open", url=receiver.url("/o"))
        direct = await engine.jobs.create(url=receiver.url("/d"), secret=SECRET)
        payload = await engine.jobs.create(url=receiver.url("/p"), payload={"password": PLANTED})
    async with engine_on(database_url, secrets={"keys": [OTHER_KEY]}) as engine:
        await engine.reactions.create(name="other", url=receiver.url("/other"), secret=SECRET)
        trigger = await engine.trigger("x", 1)
        waiting = [*trigger.jobs[:2], direct.id, payload.id]

        async def all_say_so() -> bool:
            jobs = [await engine.jobs.get(job) for job in waiting]
            return all(job.error and "secrets.keys" in job.error for job in jobs)

        async with engine.workers():
            delivered = await wait_for_all(engine, trigger.jobs[2:])
            await until(all_say_so)
        assert {job.status for job in delivered} == {JobStatus.SUCCEEDED}
        for job in [await engine.jobs.get(each) for each in waiting]:
            assert (job.status, job.attempt) == (JobStatus.QUEUED, 0)
            assert job.run_at > job.created_at
    assert {request.path for request in receiver.received} == {"/o", "/other"}
    assert (
        "2 secrets of reactions are encrypted with keys that are not in secrets.keys" in caplog.text
    )
    async with engine_on(database_url, secrets={"keys": [KEY]}) as engine:
        await make_due(database_url)
        async with engine.workers():
            done = await wait_for_all(engine, waiting)
    assert {(job.status, job.error) for job in done} == {(JobStatus.SUCCEEDED, None)}


@pytest.mark.parametrize("keys", [[OTHER_KEY], []])
async def test_where_no_key_fits_nothing_is_delivered_rather_than_failed(
    database_url: str, receiver: Receiver, keys: list[str]
) -> None:
    async with engine_on(database_url, secrets={"keys": [KEY]}) as engine:
        await engine.reactions.create(name="encrypted", url=receiver.url("/s"), secret=SECRET)
        trigger = await engine.trigger("x", 1)
    async with engine_on(database_url, secrets={"keys": keys}) as engine:
        with pytest.raises(MissingKey, match="add them"):
            async with engine.workers():
                pytest.fail("a worker without the key must not begin")
        assert (await engine.jobs.get(trigger.jobs[0])).status is JobStatus.QUEUED
    async with engine_on(database_url, secrets={"keys": [KEY]}) as engine, engine.workers():
        (job,) = await wait_for_all(engine, trigger.jobs)
    assert job.status is JobStatus.SUCCEEDED


async def test_without_the_key_a_reaction_can_be_seen_and_changed_but_not_revealed(
    database_url: str, tls: TlsOptions
) -> None:
    async with engine_on(database_url, secrets={"keys": [KEY]}) as engine:
        made = await engine.reactions.create(name="r", tls=tls, **secret_call(URL))
    async with engine_on(database_url, secrets={"keys": [OTHER_KEY]}) as engine:
        assert (await engine.reactions.get(made.id)) == made
        assert (await engine.reactions.list()).items == (made,)
        with pytest.raises(MissingKey, match=r"secrets\.keys"):
            await engine.reactions.get(made.id, reveal=True)
        changed = await engine.reactions.update(
            made.id, name="changed", timeout=3, rate_limit="5/s", state="disabled"
        )
        assert (changed.name, changed.params.timeout) == ("changed", 3)
        with pytest.raises(MissingKey):
            await engine.reactions.update(made.id, url="https://example.test/new")
        with pytest.raises(MissingKey):
            await engine.reactions.update(made.id, headers={"Cookie": "new"})
        new = await engine.reactions.rotate_secret(made.id, keep_for=0)
    async with engine_on(database_url, secrets={"keys": [KEY, OTHER_KEY]}) as engine:
        found = await engine.reactions.get(made.id, reveal=True)
        assert found.params.secrets == (new.secret,)
        assert dict(found.params.headers)["Authorization"] == f"Bearer {PLANTED}"
        assert (found.params.tls, found.params.timeout) == (tls, 3)


async def test_secrets_lost_with_their_key_can_be_replaced(database_url: str) -> None:
    async with engine_on(database_url, secrets={"keys": [KEY]}) as engine:
        made = await engine.reactions.create(name="r", url=URL, headers={"Cookie": PLANTED})
    async with engine_on(database_url, secrets={"keys": [OTHER_KEY]}) as engine:
        await engine.reactions.update(made.id, headers={"Cookie": "new"})
        found = await engine.reactions.get(made.id, reveal=True)
        assert found.params.headers == (("Cookie", "new"),)


async def test_without_any_key_secrets_are_stored_as_they_are_with_one_warning(
    database_url: str, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Plain values can be read, and encrypted later."""

    def warnings() -> list[str]:
        return [
            record.getMessage()
            for record in caplog.records
            if record.levelno == logging.WARNING and "secrets.keys" in record.getMessage()
        ]

    async with engine_on(database_url) as engine:
        await engine.reactions.create(name="plain", event_types=["other"], url=receiver.url("/p"))
        assert not warnings()
        for name in ("a", "b"):
            await engine.reactions.create(
                name=name, url=receiver.url(f"/{name}"), secret=SECRET, headers={"Cookie": PLANTED}
            )
        assert len(warnings()) == 1
    caplog.clear()
    assert PLANTED in await dump(database_url)
    async with engine_on(database_url) as engine, engine.workers():
        await wait_for_all(engine, (await engine.trigger("x", 1)).jobs)
        assert len(warnings()) == 1, "a worker that uses one says so too"
    caplog.clear()
    async with engine_on(database_url, secrets={"keys": [KEY]}) as engine, engine.workers():
        await wait_for_all(engine, (await engine.trigger("x", 1)).jobs)
        assert not warnings()
    for request in receiver.received:
        delivery.verify(request.body, request.headers, SECRET)
        assert dict(request.headers)["Cookie"] == PLANTED


async def test_everything_stored_can_be_encrypted_with_another_key(
    database_url: str, receiver: Receiver
) -> None:
    """Plain values first, then values encrypted with an old key."""
    async with engine_on(database_url) as engine:
        with pytest.raises(InvalidSetting, match="generate-key"):
            await engine.secrets.reencrypt()
        reaction = await engine.reactions.create(name="r", **secret_call(receiver.url("/r")))
        await engine.reactions.update(reaction.id, name="second version")
        await engine.reactions.create(name="plain", url=URL, event_types=["other"])
        job = await engine.jobs.create(delay=600, **secret_call(receiver.url("/d")))
    async with engine_on(database_url, secrets={"keys": [KEY]}) as engine:
        done = await engine.secrets.reencrypt()
        assert (done.changed, done.unreadable) == (4, 0)
        assert done.examined == 2 + 3 + 1
        assert (await engine.secrets.reencrypt()).changed == 0
    assert_clean(await dump(database_url))
    so_far: list[int] = []
    async with engine_on(database_url, secrets={"keys": [OTHER_KEY, KEY]}) as engine:
        assert (
            await engine.secrets.reencrypt(lambda each: so_far.append(each.changed))
        ).changed == 4
        assert so_far[-1] == 4
    async with engine_on(database_url, secrets={"keys": [OTHER_KEY]}) as engine:
        found = await engine.reactions.get(reaction.id, reveal=True)
        assert found.params.secrets == (SECRET, PRIVATE)
        trigger = await engine.trigger("x", 1)
        async with engine.workers():
            await wait_for_all(engine, trigger.jobs)
        (request,) = receiver.received
        assert dict(request.headers)["Authorization"] == f"Bearer {PLANTED}"
        assert job.status is JobStatus.QUEUED
    async with engine_on(database_url, secrets={"keys": [KEY]}) as engine:
        done = await engine.secrets.reencrypt()
        assert (done.changed, done.unreadable) == (0, 4)


async def test_plain_values_next_to_the_credentials_are_encrypted_too(
    database_url: str,
) -> None:
    """As versions before this one did."""
    async with engine_on(database_url, secrets={"keys": [KEY]}) as engine:
        made = await engine.reactions.create(name="r", url=URL, headers={"Cookie": "***x"})
        connection = await asyncpg.connect(database_url)
        try:
            stored = await connection.fetchval("SELECT params FROM delivery.reaction_versions")
            before = {**json.loads(stored), "headers": [["Cookie", PLANTED]]}
            await connection.execute(
                "UPDATE delivery.reaction_versions SET params = $1, credentials = '{}'",
                json.dumps(before),
            )
        finally:
            await connection.close()
        assert (await engine.reactions.get(made.id)).params.headers == (("Cookie", "***"),)
        assert (await engine.secrets.reencrypt()).changed == 1
        found = await engine.reactions.get(made.id, reveal=True)
        assert found.params.headers == (("Cookie", PLANTED),)
    assert_clean(await dump(database_url))


async def test_plain_values_among_encrypted_values_are_encrypted_too(
    database_url: str,
) -> None:
    """Earlier versions did not look into texts within texts."""
    link = f"https://a.test/?token={PLANTED}"
    async with engine_on(database_url, secrets={"keys": [KEY]}) as engine:
        made = await engine.reactions.create(name="r", url=URL, headers={"Cookie": "x", "A": link})
        connection = await asyncpg.connect(database_url)
        try:
            stored = await connection.fetchval("SELECT params FROM delivery.reaction_versions")
            await connection.execute(
                "UPDATE delivery.reaction_versions SET params = $1",
                stored.replace("token=***", f"token={PLANTED}"),
            )
        finally:
            await connection.close()
        assert PLANTED in await dump(database_url)
        assert (await engine.secrets.reencrypt()).changed == 1
        assert (await engine.secrets.reencrypt()).changed == 0
        found = await engine.reactions.get(made.id, reveal=True)
        assert found.params.headers == (("Cookie", "x"), ("A", link))
    assert_clean(await dump(database_url))

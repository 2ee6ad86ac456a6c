// pg-boss, with workers that fetch batches and go on fetching while batches come back full.
//
// batchSize x localConcurrency  the jobs in hand at once
// burstWhenBatchFull            fetch again without a pause as long as there is a full batch
// perJobResults                 each job of a batch is settled by itself: one that fails does not
//                               send the others of its batch again

import process from "node:process";
import { PgBoss } from "pg-boss";
import { CONCURRENCY, Exchanges, payloads, run, untilZero } from "./exchange.js";

const LEFT = "SELECT count(*) FROM pgboss.job WHERE name = 'deliver' AND state <> 'completed'";
const BATCH = 50;
const ENQUEUED_AT_ONCE = 1000;

async function enqueue(databaseUrl, receiverUrl, jobs) {
  const boss = new PgBoss({ connectionString: databaseUrl });
  boss.on("error", console.error);
  await boss.start();
  await boss.createQueue("deliver");
  const all = payloads(receiverUrl, jobs).map((data) => ({ data }));
  for (let start = 0; start < jobs; start += ENQUEUED_AT_ONCE) {
    await boss.insert("deliver", all.slice(start, start + ENQUEUED_AT_ONCE));
  }
  await boss.stop();
}

async function work(databaseUrl, receiverUrl, jobs) {
  const exchanges = new Exchanges(databaseUrl, receiverUrl, jobs);
  const boss = new PgBoss({ connectionString: databaseUrl });
  boss.on("error", console.error);
  await boss.start();

  async function deliver(job) {
    try {
      await exchanges.deliver(job.id, 1, job.data.url, job.data.payload);
      return { id: job.id, status: "completed" };
    } catch (error) {
      return { id: job.id, status: "failed", output: { message: String(error) } };
    }
  }

  await boss.work(
    "deliver",
    {
      batchSize: BATCH,
      localConcurrency: CONCURRENCY / BATCH,
      burstWhenBatchFull: true,
      perJobResults: true,
      pollingIntervalSeconds: 0.5,
    },
    (batch) => Promise.all(batch.map(deliver)),
  );
  await exchanges.allLogged();
  await untilZero(databaseUrl, LEFT);
  return async () => {
    await boss.stop();
    await exchanges.close();
  };
}

await run(enqueue, work);

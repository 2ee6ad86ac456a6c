// Graphile Worker, set as its page on performance recommends.
//
// concurrentJobs         jobs in hand at once; the page's 24 is for jobs that do nothing
// maxPoolSize            connections at most, which its documentation wants to be two more than jobs;
//                        it opens them as it needs them
// localQueue.size        jobs fetched in one statement, and handed out from memory
// completeJobBatchDelay  0: jobs done in one turn of the event loop are completed in one statement
// NO_LOG_SUCCESS         no line on standard output for each job

import process from "node:process";

process.env.NO_LOG_SUCCESS = "1";

const { run: runWorker, makeWorkerUtils, Logger } = await import("graphile-worker");
const { CONCURRENCY, Exchanges, payloads, run, untilZero } = await import("./exchange.js");

const LEFT = "SELECT count(*) FROM graphile_worker._private_jobs";
const logger = new Logger(() => (level, message) => {
  if (level === "error" || level === "warning") console.error(message);
});

async function enqueue(databaseUrl, receiverUrl, jobs) {
  const utils = await makeWorkerUtils({ connectionString: databaseUrl, logger });
  await utils.migrate();
  await utils.addJobs(
    payloads(receiverUrl, jobs).map((payload) => ({ identifier: "deliver", payload })),
  );
  await utils.release();
}

async function work(databaseUrl, receiverUrl, jobs) {
  const exchanges = new Exchanges(databaseUrl, receiverUrl, jobs);
  const runner = await runWorker({
    preset: {
      worker: {
        connectionString: databaseUrl,
        concurrentJobs: CONCURRENCY,
        maxPoolSize: CONCURRENCY + 2,
        localQueue: { size: 500 },
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
        logger,
      },
    },
    taskList: {
      deliver: ({ url, payload }, { job }) =>
        exchanges.deliver(job.id, job.attempts, url, payload),
    },
    noHandleSignals: true,
  });
  await exchanges.allLogged();
  await untilZero(databaseUrl, LEFT);
  return async () => {
    await runner.stop();
    await exchanges.close();
  };
}

await run(enqueue, work);

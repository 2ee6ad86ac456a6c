// What every Node.js peer's handler does: sign, POST, and write a row of the log.
//
// 100 connections to the receiver are open at most, without pipelining: undici's usual Pool. The
// row goes in by one INSERT, prepared by its name, through a pg Pool of 10 connections, and the
// handler waits for it: a job is not done before its row is in.

import { createHmac } from "node:crypto";
import process from "node:process";
import pg from "pg";
import { Pool } from "undici";

export const CONCURRENCY = 100;

const KEY = Buffer.from("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "base64");
const DATA = "x".repeat(1000);
const LOG_CONNECTIONS = 10;
const INSERT = `
INSERT INTO bench_delivery_logs (job_id, attempt, url, status_code, duration_ms, request_headers,
    request_body, response_headers, response_body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`;

/** What the jobs are enqueued with: an address and 1 KB of data, over 100 addresses. */
export function payloads(receiverUrl, jobs) {
  return Array.from({ length: jobs }, (_, number) => ({
    url: `${receiverUrl}/${number % 100}`,
    payload: { data: DATA },
  }));
}

/** How many exchanges are to be made, and the connections they are made on. */
export class Exchanges {
  #receiver;
  #log;
  #left;
  #done = Promise.withResolvers();

  constructor(databaseUrl, receiverUrl, jobs) {
    this.#receiver = new Pool(receiverUrl, { connections: CONCURRENCY });
    this.#log = new pg.Pool({ connectionString: databaseUrl, max: LOG_CONNECTIONS });
    this.#left = jobs;
  }

  /** Make one exchange and write its row; throws if it is not answered with a 2xx. */
  async deliver(jobId, attempt, url, payload) {
    const body = JSON.stringify(payload);
    const headers = signed(`msg_${jobId}`, body);
    const began = performance.now();
    const path = new URL(url).pathname;
    const response = await this.#receiver.request({ path, method: "POST", headers, body });
    const answer = await response.body.text();
    const row = [
      jobId,
      attempt,
      url,
      response.statusCode,
      performance.now() - began,
      JSON.stringify(headers),
      body,
      JSON.stringify(response.headers),
      answer,
    ];
    await this.#log.query({ name: "log", text: INSERT, values: row });
    if (response.statusCode >= 300) throw new Error(`answered with ${response.statusCode}`);
    this.#left -= 1;
    if (this.#left === 0) this.#done.resolve();
  }

  /** Wait until as many exchanges have been made and logged as there are jobs. */
  allLogged() {
    return this.#done.promise;
  }

  async close() {
    await this.#receiver.close();
    await this.#log.end();
  }
}

function signed(messageId, body) {
  const timestamp = String(Math.floor(Date.now() / 1000));
  const content = `${messageId}.${timestamp}.${body}`;
  const signature = createHmac("sha256", KEY).update(content).digest("base64");
  return {
    "content-type": "application/json",
    "webhook-id": messageId,
    "webhook-timestamp": timestamp,
    "webhook-signature": `v1,${signature}`,
  };
}

/** Wait until the peer's own tables say that no job is left. */
export async function untilZero(databaseUrl, query) {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  while (Number((await client.query(query)).rows[0].count) > 0) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await client.end();
}

/**
 * Do what the command line says: `enqueue` or `work`, DATABASE_URL, RECEIVER_URL, JOBS.
 *
 * `work` returns when every job is done, with what stops the worker; stopping is not timed.
 */
export async function run(enqueue, work) {
  const [step, databaseUrl, receiverUrl, jobs] = process.argv.slice(2);
  if (step === "enqueue") {
    await enqueue(databaseUrl, receiverUrl, Number(jobs));
    return;
  }
  const before = process.cpuUsage();
  const began = performance.now();
  const stop = await work(databaseUrl, receiverUrl, Number(jobs));
  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(before);
  await stop();
  console.log(JSON.stringify({ seconds, cpu_seconds: (user + system) / 1e6 }));
}

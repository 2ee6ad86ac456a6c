-- Of each lane ($1), the job that was claimed most often among the first that are due: the one to find out with
-- whether an endpoint works again. A new job would show less, since some endpoints fail every job at first.
SELECT given.lane, tried.priority, extract(epoch FROM tried.run_at)::float8 AS run_at
FROM unnest($1::uuid[]) AS given (lane)
CROSS JOIN LATERAL (
    SELECT due.priority, due.run_at, due.claim
    FROM (
        SELECT queue.priority, queue.run_at, queue.claim
        FROM delivery.queue
        WHERE queue.lane = given.lane AND queue.run_at <= now()
        ORDER BY queue.priority, queue.run_at
        LIMIT 10000
    ) AS due
    WHERE due.claim > 1
    ORDER BY due.claim DESC, due.priority, due.run_at
    LIMIT 1
) AS tried;

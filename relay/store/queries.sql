-- name: insert_watch
INSERT INTO watches (id, provider, job_id, params, metadata, owner, status, model, created_at, deadline, next_poll_at,
                     demand)
VALUES (:id, :provider, :job_id, :params, :metadata, :owner, 'queued', :model, :now, :deadline, :next_poll_at, :demand)
ON CONFLICT (provider, job_id) DO NOTHING;

-- name: insert_target
INSERT INTO watch_targets (watch_id, key, lane, name, url) VALUES (:watch_id, :key, :lane, :name, :url)
ON CONFLICT DO NOTHING;

-- name: watches_of_jobs
SELECT watches.*
FROM json_each(:jobs) AS wanted
JOIN watches ON watches.provider = wanted.value ->> 0 AND watches.job_id = wanted.value ->> 1;

-- name: watch_by_id
SELECT * FROM watches WHERE id = :id;

-- name: watch_by_job
SELECT * FROM watches WHERE provider = :provider AND job_id = :job_id;

-- name: list_watches
-- Written so that the indexes are searched: "anything, or this" would have every row looked at.
WITH visible AS (
    SELECT * FROM watches WHERE :owner IS NULL
    UNION ALL
    SELECT * FROM watches WHERE owner = :owner
)
SELECT * FROM visible
WHERE id < coalesce(:before, '~')
  AND (:prefix IS NULL OR (id >= :prefix AND id < :prefix || '~'))
  AND (:provider IS NULL OR provider = :provider)
  AND (:since IS NULL OR created_at >= :since)
  AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
  AND NOT EXISTS (
      SELECT 1 FROM json_each(:metadata) AS wanted
      WHERE wanted.value IS NOT (SELECT own.value FROM json_each(visible.metadata) AS own WHERE own.key = wanted.key)
  )
ORDER BY id DESC
LIMIT :limit;

-- name: targets_of_watches
SELECT watch_id, key, lane, name, url FROM watch_targets
WHERE watch_id IN (SELECT value FROM json_each(:ids))
ORDER BY watch_id, name IS NOT NULL, key;

-- name: outcomes_of_watches
SELECT events.id, watch_id, type, events.created_at, body, NULL AS raw
FROM watches JOIN events ON events.watch_id = watches.id AND events.type = 'job.' || watches.status
WHERE watches.id IN (SELECT value FROM json_each(:ids));

-- name: open_deliveries_of_watch
SELECT count(*) AS open FROM deliveries WHERE watch_id = :id AND state IN ('pending', 'held');

-- name: delete_watch
DELETE FROM watches WHERE id = :id;

-- name: poll_now
UPDATE watches SET next_poll_at = min(next_poll_at, max(:now, coalesce(last_poll_at + :min_interval_s, :now)))
WHERE id = :id AND finalized_at IS NULL
RETURNING id;

-- name: claim_due_watches
-- Of those longest overdue, the ones that waited longest by their own measure: a job that is looked at
-- every few seconds does not queue behind a wave of others that are looked at every few minutes.  Few are
-- chosen from many, where a budget is tight; many from twice as many, as each is a page of its own to read.
-- Where the last poll failed, only :retries are taken, in turn, and none counts as planned in less than
-- :turn_s seconds: a retry is soon, which says nothing about the job.
WITH steady AS (
    SELECT id, next_poll_at, coalesce(last_poll_at, created_at) AS asked_at, 0.1 AS least_s FROM watches
    WHERE provider = :provider AND finalized_at IS NULL AND (failed_polls > 0) = 0
      AND next_poll_at <= :now AND leased_until <= :now
    ORDER BY next_poll_at
    LIMIT iif(:limit < 32, 500, 2 * :limit)
),
failing AS (
    SELECT id, next_poll_at, coalesce(last_poll_at, created_at) AS asked_at, max(:turn_s, 0.1) AS least_s FROM watches
    WHERE provider = :provider AND finalized_at IS NULL AND (failed_polls > 0) = 1
      AND next_poll_at <= :now AND leased_until <= :now
    ORDER BY next_poll_at
    LIMIT :retries
)
UPDATE watches SET leased_until = :until
WHERE id IN (
    SELECT id FROM (SELECT * FROM steady UNION ALL SELECT * FROM failing)
    ORDER BY (:now - asked_at) / max(next_poll_at - asked_at, least_s) DESC, next_poll_at
    LIMIT :limit
)
RETURNING *;

-- name: record_poll
WITH told (id, status, provider_status, model, progress, next_poll_at, now, demand, began_at, seen_at, running_since,
           estimated_end_at, failed_polls, missing_polls, missing_since, last_error)
AS (VALUES (:id, :status, :provider_status, :model, :progress, :next_poll_at, :now, :demand, :began_at, :seen_at,
            :running_since, :estimated_end_at, :failed_polls, :missing_polls, :missing_since, :last_error))
UPDATE watches
SET status = told.status, provider_status = told.provider_status, model = told.model, progress = told.progress,
    next_poll_at = told.next_poll_at, leased_until = 0, last_poll_at = told.now, demand = told.demand,
    began_at = told.began_at, seen_at = told.seen_at, running_since = told.running_since,
    estimated_end_at = told.estimated_end_at, polls = polls + 1, failed_polls = told.failed_polls,
    missing_polls = told.missing_polls, missing_since = told.missing_since, last_error = told.last_error
FROM told
WHERE watches.id = told.id AND finalized_at IS NULL;

-- name: mark_overdue
UPDATE watches SET overdue_at = :now
WHERE id = :id AND finalized_at IS NULL AND overdue_at IS NULL
RETURNING id;

-- name: end_watch
UPDATE watches
SET status = :status, provider_status = :provider_status, model = coalesce(:model, model), last_poll_at = :now,
    leased_until = 0, polls = polls + 1, failed_polls = 0, missing_polls = 0,
    missing_since = NULL, last_error = NULL, finalized_at = :now
WHERE id = :id AND finalized_at IS NULL
RETURNING id;

-- name: insert_event
INSERT INTO events (id, watch_id, type, created_at, body, raw)
VALUES (:id, :watch_id, :type, :created_at, :body, :raw)
ON CONFLICT (id) DO NOTHING;

-- name: insert_delivery
WITH owed (id, event_id, watch_id, key, lane, name, url, now)
AS (VALUES (:id, :event_id, :watch_id, :key, :lane, :name, :url, :now))
INSERT INTO deliveries (id, event_id, watch_id, key, lane, name, url, state, created_at, next_attempt_at, retry_from)
SELECT id, event_id, watch_id, key, lane, name, url,
       CASE WHEN EXISTS (SELECT 1 FROM conditions
                         WHERE conditions.lane = owed.lane AND condition IN ('unreachable', 'draining', 'disabled'))
            THEN 'held' ELSE 'pending' END,
       now, now, now
FROM owed
WHERE true
ON CONFLICT DO NOTHING;

-- name: next_watch_due
SELECT min(due) AS due FROM (
    SELECT min(next_poll_at) AS due FROM watches
    WHERE provider = :provider AND finalized_at IS NULL AND (failed_polls > 0) = 0 AND next_poll_at > :after
    UNION ALL
    SELECT min(next_poll_at) FROM watches
    WHERE provider = :provider AND finalized_at IS NULL AND (failed_polls > 0) = 1 AND next_poll_at > :after
);

-- name: demand
SELECT count(*) AS watches, total(demand) AS total,
    count(*) FILTER (WHERE demand < :floor) AS patient, total(demand) FILTER (WHERE demand < :floor) AS patient_total
FROM watches WHERE provider = :provider AND finalized_at IS NULL;

-- name: durations_of_provider
SELECT * FROM durations WHERE provider = :provider ORDER BY updated_at;

-- name: durations_of_kinds
SELECT durations.* FROM json_each(:kinds) AS kind JOIN durations
    ON provider = kind.value ->> 0 AND phase = kind.value ->> 1 AND model = kind.value ->> 2;

-- name: set_duration
INSERT INTO durations (provider, phase, model, updated_at, drift, events, exposure)
VALUES (:provider, :phase, :model, :now, :drift, :events, :exposure)
ON CONFLICT (provider, phase, model) DO UPDATE
SET updated_at = excluded.updated_at, drift = excluded.drift, events = excluded.events, exposure = excluded.exposure;

-- name: forget_durations
DELETE FROM durations WHERE provider = :provider AND (phase, model) IN (
    SELECT phase, model FROM durations
    WHERE provider = :provider AND model != ''
    ORDER BY updated_at DESC LIMIT -1 OFFSET :kept
);

-- name: claim_due_deliveries
-- A skip scan over the lanes with pending deliveries, so that a lane with a long
-- queue costs the others nothing.  Places are shared out in turn: those under way
-- count, so that a lane that hangs is last in the queue, and a lane that fails
-- has few.  Of what was tried before, only :retries are taken.  A chat has one
-- place, for which what happened goes before what a person wants sent again.
WITH RECURSIVE lanes (lane) AS (
    SELECT min(lane) FROM deliveries WHERE state = 'pending'
    UNION ALL
    SELECT (SELECT min(later.lane) FROM deliveries AS later WHERE later.state = 'pending' AND later.lane > lanes.lane)
    FROM lanes WHERE lanes.lane IS NOT NULL
),
due AS (
    SELECT deliveries.id, next_attempt_at, lane, attempts, own.value AS own,
           row_number() OVER (
               PARTITION BY lane ORDER BY own.value IS NOT NULL AND trigger = 'manual', next_attempt_at
           ) AS place
    FROM deliveries LEFT JOIN json_each(:limits) AS own ON own.key = lane
    WHERE deliveries.id IN (
        SELECT candidate.id FROM lanes JOIN deliveries AS candidate ON candidate.id IN (
            SELECT head.id FROM deliveries AS head
            WHERE head.state = 'pending' AND head.lane = lanes.lane
              AND head.next_attempt_at <= :now AND head.leased_until <= :now
            ORDER BY head.next_attempt_at
            LIMIT :per_lane
        )
        UNION ALL
        SELECT (
            SELECT news.id FROM deliveries AS news
            WHERE news.state = 'pending' AND news.lane = chat.key AND news.trigger = 'scheduled'
              AND news.next_attempt_at <= :now AND news.leased_until <= :now
            ORDER BY news.next_attempt_at
            LIMIT 1
        ) FROM json_each(:limits) AS chat WHERE chat.value > 0
    )
),
placed AS (
    SELECT due.id, due.attempts, due.next_attempt_at, due.place + coalesce(busy.value, 0) AS place
    FROM due
    LEFT JOIN json_each(:busy) AS busy ON busy.key = due.lane
    LEFT JOIN conditions ON conditions.lane = due.lane AND conditions.failures >= :failing_from
    WHERE due.place <= coalesce(due.own, iif(conditions.lane IS NULL, :per_lane, :per_failing_lane))
                       - coalesce(busy.value, 0)
),
ranked AS (
    SELECT *, row_number() OVER (PARTITION BY attempts > 0 ORDER BY place, next_attempt_at) AS turn FROM placed
)
UPDATE deliveries SET leased_until = :until
WHERE id IN (
    SELECT id FROM ranked WHERE attempts = 0 OR turn <= :retries ORDER BY place, next_attempt_at LIMIT :limit
)
RETURNING *;

-- name: claim_company
UPDATE deliveries SET leased_until = :until
WHERE id IN (
    SELECT id FROM deliveries
    WHERE state = 'pending' AND lane = :lane AND key = :key AND trigger = 'scheduled'
      AND next_attempt_at <= :now AND leased_until <= :now
    ORDER BY next_attempt_at
    LIMIT :limit
)
RETURNING *;

-- name: events_by_id
SELECT * FROM events WHERE id IN (SELECT value FROM json_each(:ids));

-- name: events_without_raw
SELECT id, watch_id, type, created_at, body, NULL AS raw
FROM events WHERE id IN (SELECT value FROM json_each(:ids));

-- name: last_event
SELECT coalesce(max(seq), 0) AS place FROM events;

-- name: list_events
SELECT seq, events.id, watch_id, type, events.created_at, body, NULL AS raw
FROM events LEFT JOIN watches ON watches.id = events.watch_id
WHERE events.seq > :after
  AND (:owner IS NULL OR watches.owner = :owner)
  AND (:types IS NULL OR events.type IN (SELECT value FROM json_each(:types)))
  AND (:provider IS NULL OR coalesce(watches.provider, events.body ->> '$.data.provider') = :provider)
  AND (:watch_id IS NULL OR events.watch_id = :watch_id)
ORDER BY events.seq
LIMIT :limit;

-- name: insert_attempt
WITH made (delivery_id, number, trigger, started_at, duration_s, status, verdict, reason, response)
AS (VALUES (:delivery_id, :number, :trigger, :started_at, :duration_s, :status, :verdict, :reason, :response))
INSERT INTO attempts (delivery_id, number, trigger, started_at, duration_s, status, verdict, reason, response)
SELECT made.* FROM made JOIN deliveries ON deliveries.id = made.delivery_id;

-- name: settle_delivery
-- Two attempts may have been under way where a lease ran out too early: one that arrived outweighs all others.
WITH settled (delivery_id, state, next_attempt_at, tries, spared, reason, finalized_at)
AS (VALUES (:delivery_id, :state, :next_attempt_at, :tries, :spared, :reason, :finalized_at))
UPDATE deliveries
SET state = CASE WHEN settled.state = 'pending' AND EXISTS (
                SELECT 1 FROM conditions
                WHERE conditions.lane = deliveries.lane AND condition IN ('unreachable', 'disabled'))
            THEN 'held' ELSE settled.state END,
    next_attempt_at = settled.next_attempt_at, attempts = attempts + 1, tries = settled.tries, spared = settled.spared,
    trigger = 'scheduled', leased_until = 0, reason = settled.reason, finalized_at = settled.finalized_at
FROM settled
WHERE deliveries.id = settled.delivery_id AND (deliveries.state IN ('pending', 'held') OR settled.state = 'delivered');

-- name: postpone_delivery
WITH put_off (id, until, now) AS (VALUES (:id, :until, :now))
UPDATE deliveries
SET next_attempt_at = put_off.until, retry_from = retry_from + (put_off.until - put_off.now), leased_until = 0,
    reason = coalesce(reason, 'quiet hours')
FROM put_off
WHERE deliveries.id = put_off.id AND state = 'pending';

-- name: probe_another
-- What was to find out whether its destination is back was put off: the next one that is held shall.
WITH put_off (id, until, now) AS (VALUES (:id, :until, :now))
UPDATE conditions
SET release_at = min(release_at, put_off.now)
FROM put_off JOIN deliveries ON deliveries.id = put_off.id
WHERE conditions.lane = deliveries.lane AND condition = 'unreachable';

-- name: next_delivery_due
SELECT min(due) AS due FROM (
    SELECT min(next_attempt_at) AS due FROM deliveries WHERE state = 'pending' AND next_attempt_at > :after
    UNION ALL
    SELECT min(release_at) FROM conditions
    WHERE condition IN ('unreachable', 'draining') AND release_at > :after
      AND EXISTS (SELECT 1 FROM deliveries WHERE state = 'held' AND deliveries.lane = conditions.lane)
);

-- name: delivery_by_id
SELECT deliveries.*, events.type AS event_type, watches.owner AS owner
FROM deliveries JOIN events ON events.id = deliveries.event_id LEFT JOIN watches ON watches.id = deliveries.watch_id
WHERE deliveries.id = :id;

-- name: attempts_of_delivery
SELECT * FROM attempts WHERE delivery_id = :id ORDER BY seq;

-- name: list_deliveries
-- Written so that the indexes are searched, as with list_watches.
WITH found AS (
    SELECT * FROM deliveries WHERE :watch_id IS NULL
    UNION ALL
    SELECT * FROM deliveries WHERE watch_id = :watch_id
)
SELECT found.*, events.type AS event_type, watches.owner AS owner
FROM found JOIN events ON events.id = found.event_id LEFT JOIN watches ON watches.id = found.watch_id
WHERE found.created_at BETWEEN coalesce(:since, 0) AND min(coalesce(:until, 9e999), coalesce(:before_at, 9e999))
  AND (:before_at IS NULL OR (found.created_at, found.id) < (:before_at, :before_id))
  AND (:owner IS NULL OR watches.owner = :owner)
  AND (:states IS NULL OR found.state IN (SELECT value FROM json_each(:states)))
  AND (:destination IS NULL OR coalesce(found.name, 'callback') = :destination)
  AND (:provider IS NULL OR watches.provider = :provider)
  AND (:statuses IS NULL OR watches.status IN (SELECT value FROM json_each(:statuses)))
  AND (:types IS NULL OR events.type IN (SELECT value FROM json_each(:types)))
ORDER BY found.created_at DESC, found.id DESC
LIMIT :limit;

-- name: resend_deliveries
-- Each in its turn, which is on disk: a restart goes on where it was.
UPDATE deliveries
SET next_attempt_at = :first_at + turn.key * :every_s, retry_from = :first_at + turn.key * :every_s, tries = 0, spared = 0,
    state = CASE WHEN EXISTS (SELECT 1 FROM conditions
                              WHERE conditions.lane = deliveries.lane
                                AND condition IN ('unreachable', 'draining', 'disabled'))
                 THEN 'held' ELSE 'pending' END,
    trigger = 'manual', finalized_at = NULL
FROM json_each(:ids) AS turn
WHERE deliveries.id = turn.value AND leased_until <= :now
RETURNING id;

-- name: drop_delivery
UPDATE deliveries SET state = 'dropped', reason = 'given up by hand', finalized_at = :now
WHERE id = :id AND state IN ('pending', 'held') AND leased_until <= :now
RETURNING id;

-- name: resend_delivery
UPDATE deliveries
SET retry_from = CASE WHEN finalized_at IS NULL THEN retry_from ELSE :now END,
    tries = CASE WHEN finalized_at IS NULL THEN tries ELSE 0 END,
    spared = CASE WHEN finalized_at IS NULL THEN spared ELSE 0 END,
    state = CASE WHEN EXISTS (SELECT 1 FROM conditions
                              WHERE conditions.lane = deliveries.lane AND condition = 'disabled')
                 THEN 'held' ELSE 'pending' END,
    trigger = 'manual', next_attempt_at = :now, finalized_at = NULL
WHERE id = :id AND leased_until <= :now
RETURNING id;

-- name: condition_of_lane
SELECT * FROM conditions WHERE lane = :lane;

-- name: conditions
SELECT conditions.*,
       (SELECT count(*) FROM deliveries WHERE state = 'held' AND deliveries.lane = conditions.lane) AS held
FROM conditions;

-- name: failures_of_lanes
SELECT lane, failures FROM conditions WHERE lane IN (SELECT value FROM json_each(:lanes));

-- name: forget_failures
DELETE FROM conditions WHERE condition = 'working' AND lane IN (VALUES (:lane));

-- name: set_condition
INSERT INTO conditions (lane, destination, condition, since, failures, failing_since, release_at, batch, probes, detail,
                        answered_at)
VALUES (:lane, :destination, :condition, :since, :failures, :failing_since, :release_at, :batch, :probes, :detail,
        :answered_at)
ON CONFLICT (lane) DO UPDATE
SET condition = excluded.condition, since = excluded.since, failures = excluded.failures,
    failing_since = excluded.failing_since, release_at = excluded.release_at, batch = excluded.batch,
    probes = excluded.probes, detail = excluded.detail, answered_at = excluded.answered_at;

-- name: forget_condition
DELETE FROM conditions WHERE lane = :lane;

-- name: hold_lane
UPDATE deliveries SET state = 'held' WHERE lane = :lane AND state = 'pending' AND leased_until <= :now;

-- name: drop_target
UPDATE deliveries SET state = 'dropped', reason = :reason, finalized_at = :now
WHERE lane = :lane AND key = :key AND state IN ('pending', 'held') AND leased_until <= :now;

-- name: due_releases
-- The next batch waits until of the one before few are due or under way: those that hang are not waited for.
SELECT * FROM conditions
WHERE release_at <= :now AND (
    (condition = 'unreachable'
     AND EXISTS (SELECT 1 FROM deliveries WHERE state = 'held' AND deliveries.lane = conditions.lane))
    OR (condition = 'draining'
        AND (SELECT count(*) FROM (SELECT 1 FROM deliveries
                                   WHERE state = 'pending' AND deliveries.lane = conditions.lane
                                     AND next_attempt_at <= :now
                                   LIMIT :few)) < :few)
);

-- name: release_held
-- After an outage each has its whole time budget before it: it was not the receiver that let it pass.  The gaps
-- go on where they were: of one that fails whoever answers, new ones would make the next outage.
UPDATE deliveries
SET state = 'pending', next_attempt_at = min(next_attempt_at, :now),
    retry_from = iif(:afresh, :now, retry_from)
WHERE id IN (
    SELECT id FROM deliveries WHERE state = 'held' AND lane = :lane ORDER BY next_attempt_at LIMIT :limit
)
RETURNING id;

-- name: set_standing
INSERT INTO standings (provider, footing, since, rest_until, failures, refusals, failing_since, rests, worked_at, detail)
VALUES (:provider, :footing, :since, :rest_until, :failures, :refusals, :failing_since, :rests, :worked_at, :detail)
ON CONFLICT (provider) DO UPDATE
SET footing = excluded.footing, since = excluded.since, rest_until = excluded.rest_until,
    failures = excluded.failures, refusals = excluded.refusals, failing_since = excluded.failing_since,
    rests = excluded.rests, worked_at = excluded.worked_at, detail = excluded.detail;

-- name: standings
SELECT * FROM standings;

-- name: prune
DELETE FROM watches WHERE id IN (
    SELECT id FROM watches
    WHERE finalized_at < :ended_before
      AND NOT EXISTS (SELECT 1 FROM deliveries WHERE watch_id = watches.id AND state IN ('pending', 'held'))
    ORDER BY finalized_at
    LIMIT :limit
)
RETURNING id;

-- name: prune_conditions
-- Hosts that callback URLs led to come and go; destinations of the configuration stay.
DELETE FROM conditions
WHERE destination IS NULL AND max(since, failing_since) < :ended_before
  AND NOT EXISTS (SELECT 1 FROM deliveries WHERE state = 'pending' AND deliveries.lane = conditions.lane)
  AND NOT EXISTS (SELECT 1 FROM deliveries WHERE state = 'held' AND deliveries.lane = conditions.lane);

-- name: prune_provider_events
DELETE FROM events WHERE id IN (
    SELECT id FROM events
    WHERE watch_id IS NULL AND created_at < :ended_before
      AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_id = events.id AND state IN ('pending', 'held'))
    ORDER BY created_at
    LIMIT :limit
);

-- name: count_live_watches
SELECT status, count(*) AS number FROM watches WHERE finalized_at IS NULL GROUP BY status;

-- name: count_unsettled_deliveries
SELECT state, count(*) AS number FROM deliveries WHERE state != 'delivered' GROUP BY state;

-- name: oldest_pending
SELECT min(retry_from) AS since FROM deliveries WHERE state = 'pending';

-- name: stored_bytes
SELECT page_count * page_size AS size FROM pragma_page_count(), pragma_page_size();

-- name: set_back_watches
-- The past as well: what lies in the future would have lasted for less than no time.  A deadline stays,
-- as it may be somebody's own word.
UPDATE watches
SET next_poll_at = next_poll_at - :seconds, leased_until = max(leased_until - :seconds, 0),
    created_at = created_at - :seconds, last_poll_at = last_poll_at - :seconds, began_at = began_at - :seconds,
    seen_at = seen_at - :seconds, running_since = running_since - :seconds,
    estimated_end_at = estimated_end_at - :seconds, missing_since = missing_since - :seconds
WHERE finalized_at IS NULL;

-- name: set_back_deliveries
UPDATE deliveries
SET next_attempt_at = next_attempt_at - :seconds, leased_until = max(leased_until - :seconds, 0),
    retry_from = retry_from - :seconds
WHERE state IN ('pending', 'held');

-- name: set_back_standings
UPDATE standings
SET rest_until = max(rest_until - :seconds, 0), since = max(since - :seconds, 0),
    failing_since = max(failing_since - :seconds, 0), worked_at = max(worked_at - :seconds, 0);

-- name: set_back_conditions
UPDATE conditions
SET release_at = max(release_at - :seconds, 0), since = max(since - :seconds, 0),
    failing_since = max(failing_since - :seconds, 0), answered_at = max(answered_at - :seconds, 0);

-- name: set_back_heartbeat
UPDATE heartbeat SET at = at - :seconds;

-- name: release_watches
UPDATE watches SET leased_until = 0
WHERE id IN (SELECT value FROM json_each(:ids)) AND finalized_at IS NULL;

-- name: release_watch_leases
UPDATE watches SET leased_until = 0 WHERE finalized_at IS NULL AND leased_until > 0;

-- name: release_delivery_leases
UPDATE deliveries SET leased_until = 0 WHERE state = 'pending' AND leased_until > 0;

-- name: probe
-- A step of the clock that nobody has dealt with yet is not forgotten.
INSERT INTO heartbeat (one, beats, at) VALUES (1, 1, :now)
ON CONFLICT (one) DO UPDATE SET beats = beats + 1, at = max(coalesce(at, :now), :now);

-- name: last_beat
SELECT at FROM heartbeat;

-- name: insert_token
INSERT INTO tokens (id, name, digest, scopes, created_at, expires_at)
VALUES (:id, :name, :digest, :scopes, :created_at, :expires_at);

-- name: token_by_digest
SELECT * FROM tokens WHERE digest = :digest;

-- name: list_tokens
SELECT * FROM tokens ORDER BY created_at, id;

-- name: revoke_token
UPDATE tokens SET revoked_at = coalesce(revoked_at, :now) WHERE id = :id RETURNING *;

-- name: forget_old_answers
DELETE FROM kept_answers WHERE (caller, key) IN (
    SELECT caller, key FROM kept_answers WHERE asked_at < :asked_before ORDER BY asked_at LIMIT :limit
);

-- name: claim_answer
INSERT INTO kept_answers (caller, key, request, asked_at) VALUES (:caller, :key, :request, :now)
ON CONFLICT DO NOTHING
RETURNING key;

-- name: kept_answer
SELECT request, status, headers, body FROM kept_answers WHERE caller = :caller AND key = :key;

-- name: keep_answer
UPDATE kept_answers SET status = :status, headers = :headers, body = :body WHERE caller = :caller AND key = :key;

-- name: give_up_answer
DELETE FROM kept_answers WHERE caller = :caller AND key = :key AND status IS NULL;

-- name: give_up_answers
DELETE FROM kept_answers WHERE status IS NULL;

package metrics

// catalogue is the one table of all metrics of this module. A test compares it with
// docs/metrics.md and with the instruments that the packages make.
var catalogue = []Description{
	// Stages.
	{"stage.events", KindCounter, "events", []string{"stage"}, "stage", "emitted by a producer, passed to the handler of other stages"},
	{"stage.batch_size", KindGauge, "events", []string{"stage"}, "stage", "mean size of the batches that a stage received in the interval"},
	{"stage.demand", KindGauge, "events", []string{"stage"}, "stage", "what the dispatcher of the stage can take now"},
	{"stage.buffered", KindGauge, "events", []string{"stage"}, "stage", "emitted and neither delivered nor discarded"},
	{"stage.abandoned", KindCounter, "events", []string{"stage"}, "stage", "delivered to consumers that died before they had handled them, and not delivered again"},
	{"pipeline.discarded", KindCounter, "events", []string{"reason", "stage"}, "stage", "not delivered, by the reason of package receipt; conflated is no loss, since a newer event has taken the place"},

	// Dead letters.
	{"pipeline.restarts", KindCounter, "stages", []string{"stage"}, "pipeline", "made anew, after a failure or by Step.Restart"},
	{"pipeline.retries", KindCounter, "attempts", []string{"stage"}, "pipeline", "that have failed and are followed by another one"},
	{"pipeline.failures", KindCounter, "events", []string{"stage"}, "pipeline", "that have failed for good"},
	{"pipeline.keys_forgotten", KindCounter, "keys", []string{"stage"}, "pipeline", "of a Reduce with Totals that have lost their total to other keys, beyond MaxKeys"},
	{"pipeline.waiting_time", KindTimer, "duration", []string{"stage"}, "pipeline", "from an event's arrival at a worker's step until its first attempt; of events that a worker takes together, the first"},
	{"pipeline.handling_time", KindTimer, "duration", []string{"stage"}, "pipeline", "of an attempt; of events that are handled one after the other, their mean, once for all"},
	{"pipeline.dead_letters", KindCounter, "letters", []string{"stage"}, "deadletter", "stored"},
	{"pipeline.dead_letter_errors", KindCounter, "writes", []string{"stage"}, "deadletter", "that failed, and were repeated"},
	{"pipeline.dead_letters_waiting", KindGauge, "letters", []string{"stage"}, "deadletter", "not stored yet; their events have no receipt"},

	// Middleware.
	{"middleware.duplicates", KindCounter, "events", []string{"name"}, "pipeline/middleware", "dropped by a Deduplicator, since one with their key was handled"},
	{"middleware.duplicates_waited", KindCounter, "events", []string{"name"}, "pipeline/middleware", "postponed, since one with their key was being handled"},
	{"middleware.keys_forgotten", KindCounter, "keys", []string{"name"}, "pipeline/middleware", "that made room for others before their Window had passed"},
	{"middleware.offline", KindCounter, "events", []string{"name"}, "pipeline/middleware", "for users who were not online"},
	{"middleware.breaker_open", KindGauge, "0 or 1", []string{"name"}, "pipeline/middleware", "1 while a Breaker is not closed"},
	{"middleware.breaker_opened", KindCounter, "times", []string{"name"}, "pipeline/middleware", "that a Breaker has opened"},
	{"middleware.breaker_postponed", KindCounter, "events", []string{"name"}, "pipeline/middleware", "postponed, since a Breaker was not closed"},

	// Queues.
	{"queue.refused", KindCounter, "pushes", []string{"reason"}, "producer", "not accepted: full, key_full, bytes_full, too_large, closed"},
	{"queue.discarded", KindCounter, "events", []string{"reason"}, "producer", "accepted and dropped before their stage had them: queue_full, stopped"},

	// Workers.
	{"pipeline.worker.process_time", KindTimer, "duration", nil, "consumer", "each attempt of a worker of a Supervisor"},
	{"consumer.retries", KindCounter, "attempts", nil, "consumer", "that followed a failed one, of an event or a batch"},
	{"consumer.stuck_workers", KindGauge, "workers", []string{"stage"}, "consumer", "of a Supervisor, that have lost their event to Timeout and have not returned"},
	{"consumer.long_workers", KindGauge, "workers", []string{"stage"}, "consumer", "of a Supervisor, that have run one attempt for a minute or longer"},
	{"consumer.failures", KindCounter, "events", nil, "consumer", "that have failed for good"},

	// Kafka.
	{"kafka.records", KindCounter, "records", nil, "producer/kafka", "polled"},
	{"kafka.poison", KindCounter, "records", nil, "producer/kafka", "polled and not usable"},
	{"kafka.abandoned", KindCounter, "receipts", nil, "producer/kafka", "abandoned, so that their partition is read again"},
	{"kafka.commits", KindCounter, "requests", nil, "producer/kafka", "commits that succeeded"},
	{"kafka.commit_errors", KindCounter, "requests", nil, "producer/kafka", "commits that failed"},
	{"kafka.errors", KindCounter, "polls", nil, "producer/kafka", "polls that failed, and times that the group could not be joined"},
	{"kafka.unreadable", KindCounter, "batches", nil, "producer/kafka", "that cannot be read, and were skipped or have stopped their partition"},
	{"kafka.partitions", KindGauge, "partitions", []string{"group", "stage"}, "producer/kafka", "assigned to this member"},
	{"kafka.unfinished", KindGauge, "records", []string{"group", "stage"}, "producer/kafka", "polled and without a receipt"},
	{"kafka.lag", KindGauge, "records", []string{"group", "partition", "topic"}, "producer/kafka", "of a partition of this member: from what is finished to the newest record that can be read; it ends with the assignment"},
	{"kafka.share.records", KindCounter, "records", nil, "producer/kafka", "polled by members of share groups"},
	{"kafka.share.poison", KindCounter, "records", nil, "producer/kafka", "polled and not usable"},
	{"kafka.share.accepted", KindCounter, "records", nil, "producer/kafka", "verdicts"},
	{"kafka.share.released", KindCounter, "records", nil, "producer/kafka", "verdicts: they are delivered again"},
	{"kafka.share.rejected", KindCounter, "records", nil, "producer/kafka", "verdicts, poison included"},
	{"kafka.share.ack_errors", KindCounter, "partitions", nil, "producer/kafka", "verdicts that the broker has refused"},
	{"kafka.share.errors", KindCounter, "polls", nil, "producer/kafka", "polls that failed"},
	{"kafka.transactor.records", KindCounter, "records", nil, "producer/kafka", "read in transactions that were committed"},
	{"kafka.transactor.written", KindCounter, "records", nil, "producer/kafka", "written in transactions that were committed"},
	{"kafka.transactor.dead", KindCounter, "records", nil, "producer/kafka", "written to its topic of dead letters"},
	{"kafka.transactor.commits", KindCounter, "transactions", nil, "producer/kafka", "committed"},
	{"kafka.transactor.aborts", KindCounter, "transactions", nil, "producer/kafka", "aborted; their records come again"},
	{"kafka.transactor.errors", KindCounter, "errors", nil, "producer/kafka", "of polls, transforms and transactions, each retried"},

	// NATS.
	{"nats.lost", KindCounter, "losses", nil, "pubsub/nats", "occasions on which messages of other nodes may have been lost"},
	{"nats.reconnects", KindCounter, "connections", nil, "pubsub/nats", "made again"},
	{"nats.dropped", KindCounter, "messages", []string{"direction"}, "pubsub/nats", "that did not fit into the outbox (out) or the inbox (in)"},
	{"nats.nodes", KindGauge, "nodes", nil, "pubsub/nats", "other nodes of the cluster"},

	// Redis between nodes.
	{"redis.remote.lost", KindCounter, "losses", nil, "pubsub/redis", "occasions on which messages of other nodes may have been lost"},
	{"redis.remote.reconnects", KindCounter, "connections", nil, "pubsub/redis", "made again"},
	{"redis.remote.dropped", KindCounter, "messages", []string{"direction"}, "pubsub/redis", "that did not fit into the outbox (out) or the inbox (in)"},
	{"redis.remote.unsure", KindCounter, "messages", nil, "pubsub/redis", "sent when the connection failed, or refused by the server"},
	{"redis.remote.nodes", KindGauge, "nodes", nil, "pubsub/redis", "other nodes of the cluster"},

	// Redis.
	{"redis.entries", KindCounter, "entries", nil, "producer/redis", "read or claimed"},
	{"redis.failed", KindCounter, "entries", nil, "producer/redis", "that failed for good, or could not be used, and were acknowledged"},
	{"redis.released", KindCounter, "entries", nil, "producer/redis", "given back after they were emitted"},
	{"redis.poison", KindCounter, "entries", nil, "producer/redis", "not usable"},
	{"redis.lost", KindCounter, "entries", nil, "producer/redis", "claimed by another process, since this one could not renew them for a lease"},
	{"redis.settled", KindCounter, "entries", nil, "producer/redis", "acknowledged or given back"},
	{"redis.trimmed", KindCounter, "entries", nil, "producer/redis", "trimmed from their stream after their delivery and before they were handled: lost"},
	{"redis.errors", KindCounter, "requests", nil, "producer/redis", "that failed"},
	{"redis.held", KindGauge, "entries", nil, "producer/redis", "of this process, not acknowledged"},
	{"redis.lag", KindGauge, "entries", nil, "producer/redis", "not delivered to any process of the group"},
	{"redis.oldest", KindGauge, "seconds", nil, "producer/redis", "the age of the oldest of these"},

	// PostgreSQL.
	{"postgres.jobs", KindCounter, "jobs", nil, "producer/postgres", "leased"},
	{"postgres.failed", KindCounter, "jobs", nil, "producer/postgres", "that are dead in the table"},
	{"postgres.released", KindCounter, "jobs", nil, "producer/postgres", "given back after they were emitted"},
	{"postgres.poison", KindCounter, "jobs", nil, "producer/postgres", "not usable"},
	{"postgres.lost", KindCounter, "jobs", nil, "producer/postgres", "leased by another process, since this one could not renew them for a lease"},
	{"postgres.settled", KindCounter, "jobs", nil, "producer/postgres", "whose end is in the table"},
	{"postgres.errors", KindCounter, "calls", nil, "producer/postgres", "that failed"},
	{"postgres.held", KindGauge, "jobs", nil, "producer/postgres", "leased by this process"},
	{"postgres.waiting", KindGauge, "jobs", nil, "producer/postgres", "due and not leased by any process"},
	{"postgres.oldest", KindGauge, "seconds", nil, "producer/postgres", "how long the oldest of these has been due"},

	// Connections and channels.
	{"websocket.connections", KindGauge, "connections", nil, "sinks/websocket", "open now"},
	{"websocket.queue_full", KindCounter, "times", nil, "sinks/websocket", "a connection's queue had no room"},
	{"websocket.discarded", KindCounter, "messages", []string{"reason"}, "sinks/websocket", "not sent: queue_full, inbox_full, conflated, closed, too_large, no_binary; or received and not handled: unhandled"},
	{"websocket.slow_closed", KindCounter, "connections", []string{"reason"}, "sinks/websocket", "closed since their clients are slow: queue, budget (all queues), history, write"},
	{"websocket.client_held", KindCounter, "times", nil, "sinks/websocket", "a client's messages wait until it reads its replies"},
	{"websocket.broadcasts_waited", KindCounter, "broadcasts", nil, "sinks/websocket", "that have waited since more was queued than could be written in time"},
	{"websocket.refused", KindCounter, "requests", []string{"reason"}, "sinks/websocket", "refused before they reached a channel or, with NewServer, the handler: origin, host, connect, connect_rate, body and others"},
	{"websocket.rejected", KindCounter, "messages", []string{"reason"}, "sinks/websocket", "of clients, with an error reply: malformed, unmatched, topic (grammar), channels (too many), join (by its handler); join_rate, hung (too many handlers do not end), renew (credentials not renewed); stale ones, of an earlier join, are ignored"},
	{"websocket.replaced", KindCounter, "connections", nil, "sinks/websocket", "closed for a newer one of the same socket id"},
	{"websocket.hung_handlers", KindGauge, "calls", nil, "sinks/websocket", "handlers and tasks that run five seconds after their channel should have ended, and calls of Renew after their context"},
	{"websocket.hung_connects", KindGauge, "calls", nil, "sinks/websocket", "calls of Connect that do not return though their context has ended"},
	{"websocket.breaches", KindCounter, "connections", []string{"code"}, "sinks/websocket", "closed for what the client sent, by close code"},
	{"websocket.longpoll_relays", KindCounter, "requests", []string{"result"}, "sinks/websocket", "for sessions of other nodes: answered, gone (no such session or node), late (its node has not responded, or the node that the client has reached has not confirmed), client (it has gone); malformed counts messages of other nodes that were dropped"},
	{"websocket.compressors_busy", KindCounter, "messages", nil, "sinks/websocket", "sent without compression because all compressors were in use"},
	{"websocket.crashes", KindCounter, "calls", nil, "sinks/websocket", "of the application's code, that panicked or failed"},
	{"socket_connect", KindCounter, "connections", []string{"socket", "status"}, "sinks/websocket", "accepted (success) and refused (error)"},
	{"channel_join", KindCounter, "joins", []string{"channel", "status"}, "sinks/websocket", "accepted (success) and refused (fail), by the pattern of the topic or unmatched"},

	// Delivery.
	{"pipeline.push_delivered", KindTimer, "duration", nil, "sinks/websocket/delivery", "from Enqueued to the frame being written"},
	{"delivery.events", KindCounter, "events", []string{"outcome"}, "sinks/websocket/delivery", "ended as delivered or failed"},
	{"delivery.discarded", KindCounter, "events", []string{"reason"}, "sinks/websocket/delivery", "dropped: no_subscriber, no_answer, client_full, kept (in the history), expired; conflated is no loss"},
	{"delivery.missed", KindCounter, "attempts", []string{"reason"}, "sinks/websocket/delivery", "attempts after which the event waits for its client or ends"},
	{"delivery.waiting", KindGauge, "events", []string{"reason"}, "sinks/websocket/delivery", "waiting for a client"},
	{"delivery.in_flight", KindGauge, "events", nil, "sinks/websocket/delivery", "with the clients' connections"},
	{"delivery.outages", KindCounter, "outages", nil, "sinks/websocket/delivery", "begun: other nodes cannot be asked, and no grace ends"},
	{"delivery.clock_skew", KindCounter, "events", nil, "sinks/websocket/delivery", "delivered before they were enqueued, by the clocks; recorded as 0"},

	// StatsD.
	{"metrics.dropped", KindCounter, "lines", nil, "metrics/statsd", "that could not be sent"},

	// Prometheus and OpenTelemetry.
	{"metrics.series", KindGauge, "series", nil, "metrics/prometheus", "that the recorder keeps, two of its own included"},
	{"metrics.refused", KindCounter, "uses", nil, "metrics/prometheus", "of instruments that recorded nothing: no room beyond MaxSeries, or a negative number"},

	// The example.
	{"pipeline.push_delivered", KindTimer, "duration", []string{"class"}, "examples/pushpipeline", "as above, for the heavy user and for the others"},
	{"pipeline.worker.process_time", KindTimer, "duration", nil, "examples/pushpipeline", "from the delivery of an event to the stage until its receipt"},
	{"pipeline.refused", KindCounter, "pushes", []string{"reason"}, "examples/pushpipeline", "refused at POST /push: full, key_full (a user's), share_full and rate (a producer's), too_many, away (no broker), not_running (starts or ends); and whole requests: unauthorized, malformed, too_large, bodies (too many bytes at once), unread (a body that did not come), idempotency (a wrong key, or one that was used for another body)"},
	{"pipeline.clock_skew", KindCounter, "pushes", nil, "examples/pushpipeline", "ingested before they were produced, by the clocks"},
	{"sneakers.admin_wrong_passwords", KindCounter, "requests", nil, "examples/sneakers", "to /admin, with a wrong name or password"},
	{"sneakers.admin_limited", KindCounter, "requests", nil, "examples/sneakers", "to /admin, refused since there were too many wrong passwords: see -admin-attempts"},
}

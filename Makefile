.PHONY: all test race lint bench limits growth guard channels-bench cluster-bench demo ci soak soak-program soak-pipeline attack fuzz autobahn kafka kafka-stop test-kafka kafka-kills redis postgres servers-stop test-redis test-postgres cluster-faults

all: lint test

test: ## the tests; needs only Go
	go test ./...
	@echo "left out: the phoenix client of npm in Node and Chromium, and the live page: make ci runs them; Autobahn's suite: make autobahn; Apache Kafka: make test-kafka; Redis and PostgreSQL: make test-redis test-postgres; the whole lengths of attacks: PENSTOCK_LONG=1"

race: ## the tests with the race detector, in random order
	go test -race -shuffle=on ./...

lint:
	gofmt -l . && go vet ./... && go vet -tags autobahn ./sinks/websocket && go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

bench: ## every benchmark with its ratio to the reference
	go test -run '^$$' -bench . ./bench

limits: ## what is reached beside what is possible and what others reach, each figure with its goal; ten minutes, on a machine that does nothing else
	go run ./bench/limits

growth: ## how figures grow with size, with pictures in docs/img; five minutes, on a machine that does nothing else
	go run ./bench/limits -growth -svg docs/img -write docs/growth.md

guard: ## has a share of the reference fallen by more than a third? some 17 s, up to a minute more for what has fallen
	go run ./bench/limits -guard

channels-bench: ## what WebSocket connections and deliveries cost, with the targets; Linux, two minutes
	go run ./bench/channelserver/load -suite

cluster-bench: ## what several nodes cost, over NATS and Redis, with the goals; needs redis-server; Linux, three minutes
	go run ./bench/clusterspeed

demo: ## the push pipeline for ten seconds
	go run ./examples/pushpipeline -duration 10s

ci: ## all that must hold before a change is taken
	.ci/run

STEPS ?= 100000000

soak: ## random runs of the fair dispatcher against its model; make soak STEPS=1000000000 takes most of an hour
	PENSTOCK_STEPS=$(STEPS) go test -count=1 -timeout 0 -run 'TestRandom$$' -v ./dispatcher/fair

soak-program: ## the push pipeline for an hour, with users that come and go; Linux
	go run ./bench/attack -soak 1h -source kafka

soak-pipeline: ## pipelines in real time (an outage, rates) and 20,000 random ones; on a machine that does nothing else
	PENSTOCK_LONG=1 go test -count=1 -timeout 0 -v -run 'InRealTime|TestModelOfWholePipelines' ./pipeline

attack: ## what hostile clients can do to the push pipeline; Linux, five minutes, on a machine that does nothing else
	go run ./bench/attack

autobahn: ## Autobahn's test suite against our frames; WSTEST is its program, for Python 2.7 (pip install autobahntestsuite)
	go test -count=1 -timeout 10m -v -tags autobahn -run TestAutobahn ./sinks/websocket

BROKERS ?= 1

kafka: ## Apache Kafka on the loopback interface, make kafka BROKERS=3; needs Java 17 and Maven; kafka/cluster says more
	kafka/cluster start $(BROKERS)
	@echo "PENSTOCK_KAFKA=$$(kafka/cluster addr)"

kafka-stop: ## ends it and deletes its data
	kafka/cluster clean

test-kafka: ## the tests that need Apache Kafka, with a broker of their own; four minutes
	kafka/test

kafka-kills: ## 100 kills of members over a million records; a quarter of an hour
	PENSTOCK_LONG=1 kafka/test -v -timeout 60m -run 'TestRealKills'

CYCLES ?= 50

cluster-faults: ## three nodes, 300 clients, 5,000 pushes a second from Apache Kafka, 50 faults; ten minutes, on a machine that does nothing else; Linux
	go run ./bench/cluster -cycles $(CYCLES) -seed 1

redis: ## a Redis on the loopback interface, for tests
	servers/redis start && servers/redis env

postgres: ## a PostgreSQL on the loopback interface, for tests
	servers/postgres start && servers/postgres env

servers-stop: ## ends both and deletes their data
	servers/redis clean; servers/postgres clean

test-redis: ## the tests that need Redis, with a server of their own; a minute
	servers/test redis

test-postgres: ## the tests that need PostgreSQL, with a server of their own; a minute
	servers/test postgres

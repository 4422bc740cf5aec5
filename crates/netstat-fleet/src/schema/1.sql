CREATE DATABASE IF NOT EXISTS @DB@@ON@;

CREATE TABLE IF NOT EXISTS @DB@.schema_version@LOCAL@@ON@
(
  version UInt32,
  applied DateTime('UTC') DEFAULT now(),
  program String
)
ENGINE = @ENGINE:schema_version:Replacing@
ORDER BY version;

-- One row a connection; while it is open, a later revision replaces an earlier one. `pid` 0, and empty texts: not known. No column of
-- the key changes between revisions. Large blocks, and level 3 of ZSTD, compress what repeats far apart: addresses, processes, commands.
CREATE TABLE IF NOT EXISTS @DB@.flow@LOCAL@@ON@
(
  host_id UInt64,
  host LowCardinality(String) CODEC(ZSTD(1)),
  boot String CODEC(ZSTD(1)),
  flow UInt64 CODEC(Delta, ZSTD(1)),
  revision UInt32 CODEC(T64, ZSTD(1)),
  first DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  span UInt64 CODEC(T64, ZSTD(1)),
  closed Bool CODEC(ZSTD(1)),
  begun Bool CODEC(ZSTD(1)),
  protocol Enum8('TCP' = 6, 'UDP' = 17) CODEC(ZSTD(1)),
  family Enum8('IPv4' = 4, 'IPv6' = 6) CODEC(ZSTD(1)),
  direction Enum8('unknown' = 0, 'out' = 1, 'in' = 2, 'listen' = 3) CODEC(ZSTD(1)),
  state LowCardinality(String) CODEC(ZSTD(1)),
  learned LowCardinality(String) CODEC(ZSTD(1)),
  local_address IPv6 CODEC(ZSTD(1)),
  local_port UInt16 CODEC(ZSTD(1)),
  foreign_address IPv6 CODEC(ZSTD(3)),
  foreign_port UInt16 CODEC(ZSTD(1)),
  pid UInt32 CODEC(T64, ZSTD(1)),
  process_start Nullable(UInt64) CODEC(ZSTD(3)),
  program LowCardinality(String) CODEC(ZSTD(1)),
  program_name LowCardinality(String) CODEC(ZSTD(1)),
  script LowCardinality(String) CODEC(ZSTD(1)),
  unit LowCardinality(String) CODEC(ZSTD(1)),
  container LowCardinality(String) CODEC(ZSTD(1)),
  container_name LowCardinality(String) CODEC(ZSTD(1)),
  command Nullable(UInt64) CODEC(ZSTD(3)),
  user Nullable(UInt32) CODEC(T64, ZSTD(1)),
  namespace Nullable(UInt32) CODEC(ZSTD(1)),
  sent Nullable(UInt64) CODEC(T64, ZSTD(1)),
  received Nullable(UInt64) CODEC(T64, ZSTD(1)),
  retransmits Nullable(UInt32) CODEC(ZSTD(1)),
  rtt Nullable(UInt32) CODEC(T64, ZSTD(1)),
  arrived DateTime('UTC') DEFAULT now() CODEC(Delta, ZSTD(1)),
  INDEX by_foreign foreign_address TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX by_end addMilliseconds(first, span) TYPE minmax GRANULARITY 1
)
ENGINE = @ENGINE:flow:Replacing(revision)@
PARTITION BY toDate(first)
PRIMARY KEY (toStartOfHour(first), host_id)
ORDER BY (toStartOfHour(first), host_id, first, boot, flow)
TTL arrived + INTERVAL @KEEP@ DAY
SETTINGS ttl_only_drop_parts = 1, min_compress_block_size = 1048576, max_compress_block_size = 2097152,
  non_replicated_deduplication_window = 10000;

-- Who met whom on which day, for answers about a year. Bytes and flows count where a connection ended.
CREATE TABLE IF NOT EXISTS @DB@.contact@LOCAL@@ON@
(
  foreign_address IPv6 CODEC(ZSTD(1)),
  day Date,
  direction Enum8('unknown' = 0, 'out' = 1, 'in' = 2, 'listen' = 3),
  protocol Enum8('TCP' = 6, 'UDP' = 17),
  port UInt16,
  host_id UInt64,
  host LowCardinality(String),
  program LowCardinality(String),
  first SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
  last SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
  flows SimpleAggregateFunction(sum, UInt64),
  sent SimpleAggregateFunction(sum, UInt64),
  received SimpleAggregateFunction(sum, UInt64)
)
ENGINE = @ENGINE:contact:Aggregating@
PARTITION BY toYYYYMM(day)
ORDER BY (foreign_address, day, host_id, program, port, direction, protocol, host)
TTL day + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS @DB@.contact_view@ON@ TO @DB@.contact@LOCAL@
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT foreign_address, day, direction, protocol, port, host_id, host, program, min(f) AS first, max(l) AS last,
  countIf(e) AS flows, sumIf(s, e) AS sent, sumIf(r, e) AS received
FROM
(
  SELECT foreign_address, toDate(flow.first) AS day, direction, protocol,
    if(direction = 'in', local_port, foreign_port) AS port, host_id, host,
    if(program = '', program_name, program) AS program, flow.first AS f,
    flow.first + toIntervalMillisecond(span) AS l, closed AS e, ifNull(flow.sent, 0) AS s, ifNull(flow.received, 0) AS r
  FROM @DB@.flow@LOCAL@ AS flow
  WHERE direction != 'listen'
)
GROUP BY foreign_address, day, direction, protocol, port, host_id, host, program;

-- What a program did for the first time, by computer: how many have it is how common it is.
CREATE TABLE IF NOT EXISTS @DB@.sighting@LOCAL@@ON@
(
  program LowCardinality(String),
  program_name LowCardinality(String),
  kind Enum8('program' = 0, 'port' = 1, 'network' = 2, 'listens' = 3),
  port UInt16 CODEC(ZSTD(1)),
  network IPv6 CODEC(ZSTD(1)),
  host_id UInt64,
  host LowCardinality(String),
  first SimpleAggregateFunction(min, DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
  arrived SimpleAggregateFunction(min, DateTime('UTC')) DEFAULT now()
)
ENGINE = @ENGINE:sighting:Aggregating@
ORDER BY (program, program_name, kind, port, network, host_id, host)
SETTINGS non_replicated_deduplication_window = 10000;

-- Which addresses were called, when first, by how many computers (approximately).
CREATE TABLE IF NOT EXISTS @DB@.address_seen@LOCAL@@ON@
(
  foreign_address IPv6 CODEC(ZSTD(1)),
  first SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
  last SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
  first_host AggregateFunction(argMin, String, DateTime64(3, 'UTC')),
  hosts AggregateFunction(uniqCombined(12), UInt64)
)
ENGINE = @ENGINE:address_seen:Aggregating@
ORDER BY foreign_address
TTL toDateTime(last) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS @DB@.address_seen_view@ON@ TO @DB@.address_seen@LOCAL@
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT foreign_address, min(f) AS first, max(f) AS last, argMinState(h, f) AS first_host,
  uniqCombinedState(12)(host_id) AS hosts
FROM
(
  SELECT foreign_address, flow.first AS f, toString(host) AS h, host_id
  FROM @DB@.flow@LOCAL@ AS flow
  WHERE direction = 'out'
)
GROUP BY foreign_address;

-- Times of which something is missing: in a computer's record, or on the way here.
CREATE TABLE IF NOT EXISTS @DB@.gap@LOCAL@@ON@
(
  host_id UInt64,
  host LowCardinality(String),
  since DateTime64(3, 'UTC'),
  until DateTime64(3, 'UTC'),
  reason LowCardinality(String),
  lost Nullable(UInt64),
  arrived DateTime('UTC') DEFAULT now()
)
ENGINE = @ENGINE:gap:Replacing@
ORDER BY (host_id, since, reason, until)
TTL arrived + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 10000;

-- How each computer's shipping goes.
CREATE TABLE IF NOT EXISTS @DB@.host@LOCAL@@ON@
(
  host_id UInt64,
  host String,
  version String,
  boot String,
  last_sent DateTime64(3, 'UTC'),
  spool_rows UInt64,
  lost UInt64,
  arrived DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = @ENGINE:host:Replacing(arrived)@
ORDER BY host_id;

-- Where `--detail sums` is sent: connections that ended in a minute. `segment` keeps what is sent again from counting twice.
CREATE TABLE IF NOT EXISTS @DB@.sum@LOCAL@@ON@
(
  host_id UInt64,
  host LowCardinality(String),
  segment UInt64 CODEC(ZSTD(1)),
  minute DateTime('UTC') CODEC(Delta, ZSTD(1)),
  program LowCardinality(String),
  network IPv6 CODEC(ZSTD(1)),
  port UInt16 CODEC(ZSTD(1)),
  direction Enum8('unknown' = 0, 'out' = 1, 'in' = 2, 'listen' = 3),
  protocol Enum8('TCP' = 6, 'UDP' = 17),
  flows UInt64 CODEC(T64, ZSTD(1)),
  sent UInt64 CODEC(T64, ZSTD(1)),
  received UInt64 CODEC(T64, ZSTD(1)),
  arrived DateTime('UTC') DEFAULT now()
)
ENGINE = @ENGINE:sum:Replacing@
PARTITION BY toDate(minute)
ORDER BY (toStartOfHour(minute), host_id, program, network, port, direction, protocol, minute, segment)
TTL arrived + INTERVAL @KEEP@ DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

-- What the audits of the computers found, the last of each kind a day.
CREATE TABLE IF NOT EXISTS @DB@.finding@LOCAL@@ON@
(
  host_id UInt64,
  host LowCardinality(String),
  rule LowCardinality(String),
  severity LowCardinality(String),
  program LowCardinality(String),
  digest String CODEC(ZSTD(1)),
  subject String CODEC(ZSTD(1)),
  document String CODEC(ZSTD(3)),
  seen DateTime64(3, 'UTC'),
  arrived DateTime('UTC') DEFAULT now()
)
ENGINE = @ENGINE:finding:Replacing(seen)@
PARTITION BY toYYYYMM(seen)
ORDER BY (rule, program, digest, host_id, subject, toDate(seen))
TTL arrived + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 10000;

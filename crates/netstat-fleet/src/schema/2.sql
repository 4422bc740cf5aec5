-- The name that a program asked for before it connected; empty: none is known.
ALTER TABLE @DB@.flow@LOCAL@@ON@ ADD COLUMN IF NOT EXISTS asked_name String CODEC(ZSTD(1)) AFTER rtt;

-- @OVER@ The same for the table over all shards.
ALTER TABLE @DB@.flow@ON@ ADD COLUMN IF NOT EXISTS asked_name String AFTER rtt;

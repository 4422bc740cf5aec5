-- Made-up flows of a fleet: rows {from} to {from} + {n} of {total}, {hosts} computers interleaved over {span} seconds.
SELECT sipHash64(host) AS host_id, host, toString(boot) AS boot, flow, revision, first,
  toUInt64(dateDiff('millisecond', first, last)) AS span, closed, begun, protocol,
  if(startsWith(toString(foreign_address), '::ffff:'), 'IPv4', 'IPv6') AS family, direction, state, 'trace' AS learned, local_address, local_port,
  foreign_address, foreign_port, pid, process_start, program, program_name, '' AS script, unit, container, '' AS container_name, command, user,
  namespace, sent, received, retransmits, rtt, now() AS arrived
FROM
(
WITH
  {hosts:UInt64} AS nh,
  number % nh AS h, intDiv(number, nh) AS seq0,
  cityHash64(number, 1) AS r1, cityHash64(number, 2) AS r2, cityHash64(number, 3) AS r3, cityHash64(number, 4) AS r4,
  (r1 % 1000003) / 1000003. AS u1, (r2 % 1000003) / 1000003. AS u2, (r3 % 1000003) / 1000003. AS u3, (r4 % 1000003) / 1000003. AS u4,
  toUInt32(floor(pow(u1, 3) * 300)) AS prog,
  -- kind: 0 outgoing tcp 55 %, 1 incoming tcp 33 %, 2 dns 12 %
  multiIf(u2 < 0.55, 0, u2 < 0.88, 1, 2) AS kind,
  toUInt64(floor(pow(u3, 4) * 200000)) AS rank,
  toInt64(1795737600000) + toInt64(intDiv(number * {span:UInt64} * 1000, {total:UInt64})) + toInt64(r4 % 1000) AS t,
  toInt64(exp(1.5 + 2.2 * sqrt(-2 * log(u3 * 0.999 + 1e-6)) * cos(6.283185 * u4))) AS dur,
  intDiv(t, 1000 * (600 + prog * 977 % 86400)) AS epoch
SELECT
  concat('web-', leftPad(toString(h), 5, '0'), '.dc', toString(h % 3), '.example.net') AS host,
  reinterpretAsUUID(toFixedString(reinterpretAsFixedString(sipHash128(h)), 16)) AS boot,
  toUInt64(seq0 + 1) AS flow,
  toUInt32(1) AS revision,
  fromUnixTimestamp64Milli(t) AS first,
  fromUnixTimestamp64Milli(t + least(greatest(dur, 0), 3600000)) AS last,
  toUInt8(1) AS closed, toUInt8(1) AS begun,
  if(kind = 2, 'UDP', 'TCP') AS protocol,
  multiIf(kind = 1, 'in', 'out') AS direction,
  if(kind = 2, 'ESTABLISHED', 'TIME_WAIT') AS state,
  'tracepoints' AS learned,
  toIPv6(concat('::ffff:10.', toString(h % 3), '.', toString(intDiv(h, 256) % 256), '.', toString(h % 256))) AS local_address,
  toUInt16(if(kind = 1, [443, 8080, 22, 9100, 5432][1 + prog % 5], 32768 + r2 % 28232)) AS local_port,
  if(kind = 2, toIPv6(concat('::ffff:10.', toString(h % 3), '.0.2')),
     if(rank % 10 < 7, toIPv6(concat('::ffff:', IPv4NumToString(toUInt32(cityHash64(rank, kind))))), CAST(reinterpretAsFixedString(cityHash64(rank)) || reinterpretAsFixedString(cityHash64(rank, 9)) AS FixedString(16))::IPv6)) AS foreign_address,
  toUInt16(multiIf(kind = 2, 53, kind = 1, 32768 + r3 % 28232, [443, 443, 443, 80, 5432, 6379, 9092, 22][1 + (prog + rank) % 8])) AS foreign_port,
  toUInt32(1000 + cityHash64(h, prog, epoch) % 4000000) AS pid,
  toUInt64(epoch * 60000 + cityHash64(h, prog) % 60000) AS process_start,
  concat('/usr/', ['bin', 'sbin', 'lib/app', 'local/bin'][1 + prog % 4], '/prog-', toString(prog)) AS program,
  substring(concat('prog-', toString(prog)), 1, 15) AS program_name,
  concat('prog-', toString(prog), '.service') AS unit,
  if(prog % 5 = 0, concat('docker ', lower(hex(cityHash64(h, prog, intDiv(epoch, 5)))), 'abcd'), '') AS container,
  cityHash64(prog, r1 % 4) AS command,
  toNullable(toUInt32(if(prog % 3 = 0, 0, 100 + prog))) AS user,
  toUInt32(4026531840 + if(prog % 5 = 0, prog, 0)) AS namespace,
  toNullable(toUInt64(exp(6 + 2 * sqrt(-2 * log(u4 * 0.999 + 1e-6)) * cos(6.283185 * u3)))) AS sent,
  toNullable(toUInt64(exp(8 + 2.4 * sqrt(-2 * log(u2 * 0.999 + 1e-6)) * cos(6.283185 * u3)))) AS received,
  if(kind = 2, NULL, toNullable(toUInt32(if(r1 % 50 = 0, r2 % 5, 0)))) AS retransmits,
  if(kind = 2, NULL, toNullable(toUInt32(200 + rank % 977 * 100 + r2 % 300))) AS rtt
FROM numbers({from:UInt64}, {n:UInt64})
)

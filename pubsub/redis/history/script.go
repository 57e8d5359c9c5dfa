package history

import goredis "github.com/redis/go-redis/v9"

// ends is the common part of both scripts: the end of the stream KEYS[1]. A stream
// without records begins anew, with a record 0-1 that holds the epoch ARGV[1] alone.
// The fields of a record have a fixed order: e(poch), t(ime), i(d), n(ame), d(ata).
const ends = `
local key, now = KEYS[1], redis.call('TIME')
now = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000))
local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)
if #last == 0 then
  redis.call('DEL', key)
  redis.call('XADD', key, '0-1', 'e', ARGV[1], 't', now, 'i', '', 'n', '', 'd', '')
  last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)
end
redis.call('PEXPIRE', key, ARGV[2])
local epoch, offset = last[1][2][2], tonumber(string.match(last[1][1], '^%d+'))
`

// position returns epoch, offset and time.
var position = goredis.NewScript(ends + `
return {epoch, string.format('%.0f', offset), now}`)

// add appends a record and returns epoch and offset. With ARGV[7] it looks first for a
// record of the same id, which another node or an earlier attempt may have stored.
var add = goredis.NewScript(ends + `
if ARGV[7] == '1' then
  for _, r in ipairs(redis.call('XREVRANGE', key, '+', '-')) do
    if r[2][6] == ARGV[4] then return {r[2][2], string.match(r[1], '^%d+')} end
  end
end
local at = string.format('%.0f', offset + 1)
redis.call('XADD', key, 'MAXLEN', '~', ARGV[3], at .. '-1', 'e', epoch, 't', now, 'i', ARGV[4], 'n', ARGV[5], 'd', ARGV[6])
return {epoch, at}`)

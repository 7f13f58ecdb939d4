package redis

import goredis "github.com/redis/go-redis/v9"

// What all scripts begin with: the time, and whether a record is there. Numbers above
// 2^53 are none in Lua, and microseconds stay below for two centuries.
const prelude = `
local t = redis.call('TIME')
local us = tonumber(t[1]) * 1000000 + tonumber(t[2])
local ms = math.floor(us / 1000)
local function live(key)
	local h = redis.call('HMGET', key, 'r', 'x')
	if not h[1] or (h[2] ~= '' and tonumber(h[2]) <= ms) then return false, '' end
	return h[1], h[2]
end
`

var (
	// KEYS: record. Returns revision, end, value; or nothing.
	getScript = goredis.NewScript(prelude + `
local r, x = live(KEYS[1])
if not r then return {} end
return {r, x, redis.call('HGET', KEYS[1], 'v')}
`)

	// KEYS: record, index, revision. ARGV: key, expected, value, ms to live, channel.
	// Returns revision and end; or nothing: a conflict.
	putScript = goredis.NewScript(prelude + `
local r = live(KEYS[1]) or '0'
if ARGV[2] ~= 'any' and ARGV[2] ~= r then return {} end
local last = tonumber(redis.call('GET', KEYS[3]) or '0')
local revision = string.format('%.0f', math.max(last + 1, us))
local x = ''
if ARGV[4] ~= '0' then x = string.format('%.0f', ms + tonumber(ARGV[4])) end
redis.call('SET', KEYS[3], revision)
redis.call('HSET', KEYS[1], 'r', revision, 'x', x, 'v', ARGV[3])
if x == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIREAT', KEYS[1], x) end
redis.call('ZADD', KEYS[2], 0, '=' .. ARGV[1])
redis.call('PUBLISH', ARGV[5], ARGV[1])
return {revision, x}
`)

	// KEYS: record, index. ARGV: key, expected, channel. Returns what became of it.
	deleteScript = goredis.NewScript(prelude + `
local r = live(KEYS[1])
if not r then return 'gone' end
if ARGV[2] ~= 'any' and ARGV[2] ~= r then return 'conflict' end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], '=' .. ARGV[1])
redis.call('PUBLISH', ARGV[3], ARGV[1])
return 'ok'
`)

	// KEYS: index. ARGV: what record keys begin with, least, most, how many, how many
	// bytes, "v" for values. Returns the key to go on after, or "", and then key,
	// revision, end, value of each. Members of the index begin with "=", so that no key looks
	// like a bound. Keys whose records have expired are swept out.
	listScript = goredis.NewScript(prelude + `
local keys = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])
local found, bytes, most = {''}, 0, tonumber(ARGV[5])
for i, member in ipairs(keys) do
	local key = member:sub(2)
	local r, x = live(ARGV[1] .. key)
	if r then
		local v = ''
		if ARGV[6] == 'v' then v = redis.call('HGET', ARGV[1] .. key, 'v') end
		bytes = bytes + #key + #v
		table.insert(found, key)
		table.insert(found, r)
		table.insert(found, x)
		table.insert(found, v)
	else
		redis.call('ZREM', KEYS[1], member)
	end
	if bytes >= most or i == tonumber(ARGV[4]) then
		found[1] = key
		break
	end
end
return found
`)

	// KEYS: index, so that it runs where the records are.
	timeScript = goredis.NewScript(`return redis.call('TIME')`)
)

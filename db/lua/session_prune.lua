-- Adds a session. Costs the same however many there are: only when a user has twice as many as the
-- bound are they looked at, and then the expired and the oldest go, down to the bound.
-- KEYS[1] the user's sessions. ARGV[1] session id, ARGV[2] record, ARGV[3] when the record
-- expires (Unix ms), ARGV[4] the bound. Answers how many were dropped.
-- A record begins with two big-endian 64-bit times in Unix ms: created, expires.
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
-- The key lives as long as its last session. GT never shortens it, and never sets a first time.
if redis.call('PEXPIREAT', KEYS[1], ARGV[3], 'GT') == 0 then
  redis.call('PEXPIREAT', KEYS[1], ARGV[3], 'NX')
end
local most = tonumber(ARGV[4])
if redis.call('HLEN', KEYS[1]) < 2 * most then return 0 end
local now = struct.unpack('>I8', ARGV[2])
local all = redis.call('HGETALL', KEYS[1])
local gone, kept = {}, {}
for i = 1, #all, 2 do
  local id, record = all[i], all[i + 1]
  if id ~= ARGV[1] then
    local created, expires = 0, 0
    if #record >= 16 then created, expires = struct.unpack('>I8I8', record) end
    if expires <= now then
      gone[#gone + 1] = id
    else
      kept[#kept + 1] = { id = id, created = created }
    end
  end
end
-- The new session is one of the newest, whatever other machines' clocks said.
table.sort(kept, function(a, b) return a.created > b.created end)
for i = most, #kept do gone[#gone + 1] = kept[i].id end
-- In pieces: Lua's stack does not hold any number of arguments.
for i = 1, #gone, 1000 do
  redis.call('HDEL', KEYS[1], unpack(gone, i, math.min(i + 999, #gone)))
end
return #gone

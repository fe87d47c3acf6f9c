-- Adds a session, drops expired ones, and the oldest ones past the bound.
-- KEYS[1] the user's sessions. ARGV[1] session id, ARGV[2] record, ARGV[3] most sessions.
-- A record begins with two big-endian 64-bit times in Unix ms: created, expires.
local function time(record, from)
  local n = 0
  for i = from, from + 7 do n = n * 256 + string.byte(record, i) end
  return n
end
local now = time(ARGV[2], 1)
local last = time(ARGV[2], 9)
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local all = redis.call('HGETALL', KEYS[1])
local kept = {}
for i = 1, #all, 2 do
  local record = all[i + 1]
  if all[i] ~= ARGV[1] then
    if #record < 16 or time(record, 9) <= now then
      redis.call('HDEL', KEYS[1], all[i])
    else
      kept[#kept + 1] = { id = all[i], created = time(record, 1), expires = time(record, 9) }
    end
  end
end
table.sort(kept, function(a, b) return a.created < b.created end)
local excess = #kept + 1 - tonumber(ARGV[3])
for i, session in ipairs(kept) do
  if i <= excess then
    redis.call('HDEL', KEYS[1], session.id)
  elseif session.expires > last then
    last = session.expires
  end
end
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', last))
return 1

-- Drops a user's expired sessions, then the oldest down to the bound.
-- KEYS[1] the user's sessions. ARGV[1] the session just opened, which stays whatever other
-- machines' clocks said. ARGV[2] when it was opened (Unix ms), ARGV[3] the bound. Answers how many
-- were dropped. A record begins with two big-endian 64-bit times in Unix ms: created, expires.
local now, most = tonumber(ARGV[2]), tonumber(ARGV[3])
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
table.sort(kept, function(a, b) return a.created > b.created end)
for i = most, #kept do gone[#gone + 1] = kept[i].id end
-- In pieces: Lua's stack does not hold any number of arguments.
for i = 1, #gone, 1000 do
  redis.call('HDEL', KEYS[1], unpack(gone, i, math.min(i + 999, #gone)))
end
return #gone
